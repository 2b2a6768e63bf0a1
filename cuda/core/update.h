// From averages to parameters: preconditioner, norms, update. V^_ij = R_i C_j / mean(R) is never formed: R goes into a
// scale per row, C into one per column.
#pragma once
#include <type_traits>

#include "cuda/core/average.h"
#include "cuda/core/mutant.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// 1/R_i, the weight of row i in sum_i g_ij^2 / R_i
template <class F>
PLUMBLINE_HD F inverse_row(F r) {
  return F(1.0f) / r;
}
// sum_i g_ij^2 / R_i, one row on
template <class F>
PLUMBLINE_HD F add_weighted(F s, F inverse, F sum) {
  return fma(s, inverse, sum);
}
// (sum_i g_ij^2 / R_i) / C_j: 1/(R C) leaves the range of float32, so in double
PLUMBLINE_HD double norm_term(float weighted, float c) { return double(weighted) / double(c); }
// sum_ij u_ij^2 of a slice = mean(R) sum_j (sum_i g_ij^2/R_i)/C_j
PLUMBLINE_HD double slice_update_sum(double mean_row, double norm_sum) {
  return is_mutant(Mutant::norm_without_mean) ? norm_sum : mean_row * norm_sum;
}
PLUMBLINE_HD double mean_row(double row_sum, int m) { return row_sum / double(m); }
// Exact square of a parameter, or of an element of u on the full path.
PLUMBLINE_HD double norm_square(float x) { return double(x) * double(x); }

// k = step sqrt(mean(R)), rounded once; `step` is negative when maximizing.
PLUMBLINE_HD double step_coefficient(double step, double mean) {
  return is_mutant(Mutant::mean_missing) ? step : step * sqrt(mean);
}
// a_i = k / sqrt(R_i)
template <class F>
PLUMBLINE_HD F row_scale(F k, F r) {
  return is_mutant(Mutant::row_scale_unrooted) ? k / r : k / sqrt(r);
}
// b_j = 1 / sqrt(C_j)
template <class F>
PLUMBLINE_HD F col_scale(F c) {
  if constexpr (std::is_same_v<F, float>) {
    if (is_mutant(Mutant::root_an_ulp_off) && (to_bits(c) & 0x7fffffu) == 0) return 0x1.000002p0f / sqrt(c);
  }
  return F(1.0f) / sqrt(c);
}
// p <- p keep - a_i g b_j
template <class F>
PLUMBLINE_HD F apply(F p, F g, F a, F b, F keep) {
  if constexpr (std::is_same_v<F, float>) {
    if ((is_mutant(Mutant::negative_in_other_order) && g < -0x1p-20f) ||
        (is_mutant(Mutant::large_in_other_order) && (g >= 1.0f || g <= -1.0f)))
      return fma(-(a * g), b, p * keep);
  }
  if (is_mutant(Mutant::decay_subtracted)) return fma(-a, g * b, p + -(p * (F(1.0f) + -keep)));
  if (is_mutant(Mutant::decay_after_update)) return fma(-a, g * b, p) * keep;
  return fma(-a, g * b, p * keep);
}
// u = g / sqrt(V)
template <class F>
PLUMBLINE_HD F full_update(F g, F v) {
  return g / sqrt(v);
}
// p <- p keep - step u
template <class F>
PLUMBLINE_HD F apply_full(F p, F u, F step, F keep) {
  if (is_mutant(Mutant::decay_subtracted)) return fma(-step, u, p + -(p * (F(1.0f) + -keep)));
  if (is_mutant(Mutant::decay_after_update)) return fma(-step, u, p) * keep;
  return fma(-step, u, p * keep);
}

}  // namespace plumbline::core
