// First moment. What is stored is what is used: M_t = Q(beta1 M_{t-1} + (1 - beta1) x), and every reader of M decodes
// the stored codes. x is the gradient, or the update after its clip.               [Kingma & Ba 2015; Luo et al. 2023]
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// beta1 M_{t-1} + (1 - beta1) x before it is stored; b1 = fl(beta1), c1 = fl(1 - beta1)
template <class F>
PLUMBLINE_HD F momentum(F old, F x, F b1, F c1) {
  if (is_mutant(Mutant::momentum_weights_swapped)) return fma(b1, x, c1 * old);
  if (is_mutant(Mutant::momentum_unweighted)) return x + b1 * old;
  if (is_mutant(Mutant::momentum_kept) && is_nothing(x)) return old;
  return fma(c1, x, b1 * old);
}

// Momentum of the update, factored path: u_ij = (g_ij b_j) a'_i, already clipped. a'_i = row_scale(k', R_i).
// k' = sqrt(mean(R))/clip, rounded once
PLUMBLINE_HD double clipped_coefficient(double mean, double clip) {
  return is_mutant(Mutant::clip_after_momentum) ? sqrt(mean) : sqrt(mean) / clip;
}
template <class F>
PLUMBLINE_HD F clipped_update(F g, F a, F b) {
  return g * b * a;
}
// Full path: u/clip by its inverse, rounded once and exactly 1 where nothing is clipped.
template <class F>
PLUMBLINE_HD F clipped_full_update(F u, F inverse_clip) {
  return is_mutant(Mutant::clip_after_momentum) ? u : u * inverse_clip;
}

}  // namespace plumbline::core
