#include "cuda/twin/columns.h"

#include <algorithm>

#include "cuda/core/geometry.h"
#include "cuda/core/number.h"
#include "cuda/core/update.h"

namespace plumbline::twin {
namespace {

constexpr int kLanes = 16;  // columns side by side

// T over `rows` rows of term(i, lane) of one group of columns. A finished pair of subtrees of one height becomes a
// subtree of the next, as digits carry; what is open at the end has padding for its right neighbour, and x + 0 = x for
// sums of squares.
template <class F, class Term>
void tree_down(int64_t rows, Term term, F* __restrict sum) {
  F carry[48][kLanes];
  for (int64_t i = 0; i < rows; ++i) {
    for (int j = 0; j < kLanes; ++j) sum[j] = term(i, j);
    int height = 0;
    for (int64_t digits = i; digits & 1; digits >>= 1, ++height) {
      for (int j = 0; j < kLanes; ++j) sum[j] = carry[height][j] + sum[j];
    }
    for (int j = 0; j < kLanes; ++j) carry[height][j] = sum[j];
  }
  bool open = false;
  int height = 0;
  for (int64_t digits = rows; digits != 0; digits >>= 1, ++height) {
    if ((digits & 1) == 0) continue;
    for (int j = 0; j < kLanes; ++j) sum[j] = open ? carry[height][j] + sum[j] : carry[height][j];
    open = true;
  }
}

// done(first, lanes, sums) for every group of columns; a group that is not whole repeats its first column.
template <class F, class Value, class Term, class Done>
void each_group(const Value* x, int64_t rows, int64_t cols, Workers& workers, Term term, Done done) {
  workers.for_each(core::ceil_div(cols, kLanes), [&](int64_t group, Workspace&) {
    const int64_t first = group * kLanes;
    const int lanes = int(std::min<int64_t>(kLanes, cols - first));
    F sum[kLanes];
    const Value* from = x + first;
    if (lanes == kLanes) {
      tree_down<F>(
          rows, [&](int64_t i, int j) { return term(from[i * cols + j]); }, sum);
    } else {
      tree_down<F>(
          rows, [&](int64_t i, int j) { return term(from[i * cols + (j < lanes ? j : 0)]); }, sum);
    }
    done(first, lanes, sum);
  });
}

}  // namespace

void column_trees(const double* x, int64_t rows, int64_t cols, Workers& workers, double* sums) {
  each_group<double>(
      x, rows, cols, workers, [](double v) { return v; },
      [&](int64_t first, int lanes, const double* sum) { std::copy_n(sum, lanes, sums + first); });
}

void column_trees(const float* x, int64_t rows, int64_t cols, Workers& workers, float* sums) {
  each_group<float>(
      x, rows, cols, workers, [](float v) { return v; },
      [&](int64_t first, int lanes, const float* sum) { std::copy_n(sum, lanes, sums + first); });
}

void column_square_trees(const float* x, int64_t rows, int64_t cols, Workers& workers, double* sums) {
  each_group<double>(
      x, rows, cols, workers, [](float v) { return core::norm_square(v); },
      [&](int64_t first, int lanes, const double* sum) { std::copy_n(sum, lanes, sums + first); });
}

void average_columns(const float* x, int64_t rows, int64_t cols, const core::Weights<float>& weights, Workers& workers,
                     float* col) {
  each_group<float>(
      x, rows, cols, workers, [](float v) { return core::square(v); },
      [&](int64_t first, int lanes, const float* sum) {
        for (int j = 0; j < lanes; ++j)
          col[first + j] = core::canonical(core::perturbed(
              core::PerturbedStage::low_rank_col, core::average(col[first + j], sum[j], float(rows), weights)));
      });
}

}  // namespace plumbline::twin
