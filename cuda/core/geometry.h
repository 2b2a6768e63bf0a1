// How the sums of a step are cut: functions of the shape alone, never of a device or a thread count. This fixes the
// bits.
//
// T(x): pad x with +0 to a power of two, then x_i <- x_2i + x_2i+1 until one is left.
// Factored path, per slice (matrix of the batch), s_ij = fl(g_ij^2):
//   row sums       T over columns, float32
//   column sums    strips of strip_rows(m) rows: c += s and w = fma(s, 1/R_i, w) row by row from +0; then T over strips
//   sum_i R_i      T over rows in double;  sum_j w_j/C_j: T over columns in double
//   sum u^2        per slice mean(R) times the latter; T over slices in double
//   sum p^2        exact squares in double: T over columns, then T over rows, then T over slices
// Full path, per slice: sum u^2 and sum p^2 are squares in double, T over the flat index *within the slice*, then T
// over slices (a tile then never crosses a matrix, as no block of a codec does; a vector is one slice).
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::core {

constexpr int kColumnTile = 64;  // columns of one tile of finish
constexpr int kRowTile = 256;    // rows of one tile of finish, for sum R and sum p^2
constexpr int kFlatTile = 2048;  // elements of one tile of the full path, within a slice
constexpr int kMaxStrips = 128;
constexpr int kPanel = 1024;   // columns whose sum of p^2 a device keeps: an aligned range of T over columns
constexpr int kNormRows = 32;  // rows of one sum of p^2 of a tensor that is stepped by tickets: an aligned range of T

PLUMBLINE_HD int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Rows of a strip of an m-row matrix: a multiple of 8, at most 128 strips.
PLUMBLINE_HD int strip_rows(int m) { return int(8 * ceil_div(m, 1024)); }
PLUMBLINE_HD int strip_count(int m) { return int(ceil_div(m, strip_rows(m))); }

// Height of T over n values.
PLUMBLINE_HD int tree_height(int64_t n) {
  int height = 0;
  while ((int64_t(1) << height) < n) ++height;
  return height;
}

}  // namespace plumbline::core
