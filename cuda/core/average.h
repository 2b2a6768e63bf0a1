// The moving averages of the second moment with eps1 injection. F is float in production; every function is one recipe
// of roundings.                                                              [Shazeer & Stern 2018, alg. 4 and 5]
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/number.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// Weights of the new sample and of the old average: w_t and 1 - w_t, each rounded once; eps1 as realized.
template <class F>
struct Weights {
  F w, old_weight, eps1;
};

template <class F>
PLUMBLINE_HD F square(F g) {
  if (is_mutant(Mutant::squares_scaled)) return g * F(0x1p19f) * (g * F(0x1p19f)) * F(0x1p-38f);
  return g * g;
}

// R_i <- (1-w) R_i + w (sum_j g_ij^2 / n + eps1); C_j likewise with sum_i and m. `sum` is the sum of squares.
template <class F>
PLUMBLINE_HD F average(F old, F sum, F count, const Weights<F>& h) {
  if (is_mutant(Mutant::eps1_outside_mean)) return fma(h.w, sum / count, h.old_weight * old) + h.eps1;
  if (is_mutant(Mutant::eps1_missing)) return fma(h.w, sum / count, h.old_weight * old);
  if (is_mutant(Mutant::sum_for_mean)) return fma(h.w, sum + h.eps1, h.old_weight * old);
  if (is_mutant(Mutant::average_kept) && is_nothing(sum)) return old;
  if (is_mutant(Mutant::weights_swapped)) return fma(h.old_weight, sum / count + h.eps1, h.w * old);
  return fma(h.w, sum / count + h.eps1, h.old_weight * old);
}

// V <- (1-w) V + w (g^2 + eps1)
template <class F>
PLUMBLINE_HD F full_average(F old, F g, const Weights<F>& h) {
  if (is_mutant(Mutant::full_eps1_missing)) return fma(h.w, square(g), h.old_weight * old);
  if (is_mutant(Mutant::full_average_kept) && is_nothing(g)) return old;
  if (is_mutant(Mutant::full_weights_swapped)) return fma(h.old_weight, square(g) + h.eps1, h.w * old);
  return fma(h.w, square(g) + h.eps1, h.old_weight * old);
}

}  // namespace plumbline::core
