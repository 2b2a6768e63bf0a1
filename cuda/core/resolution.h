// The second moment in use is never below what the numerator's codes resolve. A momentum in codes on an even grid is
// known to within one step q of its block; divided by a root of V far below q, an error of that size is an update
// without bound. With b the bias correction, a code is worth at most a bias-corrected update of 1:
//
//   full, low rank  V^ <- max(V, (b q)^2)
//   factored        R_i <- max(R_i, mean_j (b q_ij)^2), C_j <- max(C_j, mean_i (b q_ij)^2), mean(R) as it was
//
// Used, never stored: the averages go on as they were. The means run over the trees of the averages' own sums.
//                                                                                             (reference/CODECS.md)
#pragma once
#include "cuda/core/codec.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// fl(b/H): q b of a block of scale 1; 0 where nothing has steps.
PLUMBLINE_HD float resolution_unit(double bias, float levels) {
  if (is_mutant(Mutant::resolution_of_other_storage) && levels > 0.0f) levels = levels > 8.0f ? 6.0f : 126.0f;
  if (is_mutant(Mutant::resolution_uncorrected)) bias = 1.0;
  return levels > 0.0f ? float(bias / double(levels)) : 0.0f;
}
// (b q)^2 of a block
template <class F>
PLUMBLINE_HD F resolution_square(F scale, F unit) {
  const F step = scale * unit;
  return step * step;
}
template <class F>
PLUMBLINE_HD F mean_resolution(F sum, F count) {
  return is_mutant(Mutant::resolution_summed) ? sum : sum / count;
}
// max(v, floor). NaN stays NaN; a floor of NaN, of a block that decodes to it, is none.
PLUMBLINE_HD float raised(float v, float floor) { return floor > v ? floor : v; }

PLUMBLINE_HD float used_moment(float v, float square) {
  return is_mutant(Mutant::resolution_ignored) ? v : raised(v, square);
}
// `sum` of (b q_ij)^2 over a row of n, over a column of m.
PLUMBLINE_HD float used_row(float r, float sum, float n) {
  return is_mutant(Mutant::resolution_not_in_rows) ? r : raised(r, mean_resolution(sum, n));
}
PLUMBLINE_HD float used_col(float c, float sum, float m) {
  return is_mutant(Mutant::resolution_not_in_columns) ? c : raised(c, mean_resolution(sum, m));
}

}  // namespace plumbline::core
