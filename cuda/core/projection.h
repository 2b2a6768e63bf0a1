// APOLLO: statistics of a random projection of the gradient give one scale per channel of the full gradient.
//                                                                         [Zhu et al. 2024, arXiv 2412.05270, alg. 1]
// The tensor is one matrix of m = shape[0] rows and n columns. m >= n: columns are reduced (K = n), a channel is a row,
// G_low = G P is m x r; else rows are reduced (K = m), a channel is a column and G_low = P^T G is r x n.
// An entry is a difference of fair coins, (popcount(word) - 16) / sqrt(8 r): mean 0, variance 1/r. P is made anew from
// the counter whenever it is needed and stored nowhere.
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/number.h"
#include "cuda/core/ops.h"
#include "cuda/core/philox.h"

namespace plumbline::core {

constexpr int kProjectionChunk = 256;  // terms of one partial sum along the reduced axis
constexpr double kScaleFloor = 1e-8;   // added to the norm of G_low

PLUMBLINE_HD int population(uint32_t word) {
#ifdef __CUDA_ARCH__
  return __popc(word);
#else
  return __builtin_popcount(word);
#endif
}
// Words of entries (4 group .. 4 group + 3, k): j runs along the reduced axis, k over the rank.
PLUMBLINE_HD PhiloxWords projection_words(uint32_t seed, uint32_t tensor, uint32_t refresh, int64_t group, int k) {
  const uint32_t key = is_mutant(Mutant::projection_seed_ignored) ? 0u : seed;
  return philox({uint32_t(group), uint32_t(k), 0u, refresh}, {key, tensor});
}
// Entry times sqrt(8 r), an integer in [-16, 16].
PLUMBLINE_HD int projection_entry(uint32_t word) {
  return population(word) - (is_mutant(Mutant::projection_biased) ? 15 : 16);
}
// How often P was replaced before step t.
PLUMBLINE_HD uint32_t refresh_index(int64_t t, int64_t refresh) {
  return uint32_t((t - (is_mutant(Mutant::refresh_late) && t > 1 ? 2 : 1)) / refresh);
}
PLUMBLINE_HD double projection_unit(int rank) { return 1.0 / sqrt(8.0 * double(rank)); }

// sum_j entry g, one term on, within a chunk; chunk sums are added in order.
PLUMBLINE_HD double add_projected(double sum, float g, double entry) { return fma(double(g), entry, sum); }
PLUMBLINE_HD float low_rank_gradient(double sum, double unit) { return float(sum * unit); }

// N = x / (sqrt(V) + eps), x = G_low or its momentum
template <class F>
PLUMBLINE_HD F low_rank_update(F x, F v, F eps) {
  if (is_mutant(Mutant::low_rank_eps_inside_root)) return x / sqrt(v + eps);
  return x / (sqrt(v) + eps);
}
// With factored moments sqrt(V^_ij) = sqrt(R_i) sqrt(C_j) / sqrt(mean(R)); inverse = 1/sqrt(mean(R)), rounded once.
PLUMBLINE_HD double inverse_root_mean(double mean) {
  return is_mutant(Mutant::low_rank_mean_missing) ? 1.0 : 1.0 / sqrt(mean);
}
template <class F>
PLUMBLINE_HD F low_rank_factored_update(F x, F r, F c, F inverse, F eps) {
  return x / (sqrt(r) * sqrt(c) * inverse + eps);
}

// s = |N| / (|G_low| + 1e-8), from sums of squares over a channel (or all), rounded once
PLUMBLINE_HD double channel_scale(double normalized_sum, double gradient_sum) {
  if (is_mutant(Mutant::channel_scale_inverted)) return sqrt(gradient_sum) / (sqrt(normalized_sum) + kScaleFloor);
  return sqrt(normalized_sum) / (sqrt(gradient_sum) + kScaleFloor);
}
// A channel's part of sum u^2: s^2 sum g^2
PLUMBLINE_HD double channel_update_sum(float s, double gradient_sum) {
  return is_mutant(Mutant::channel_norm_linear) ? double(s) * gradient_sum : double(s) * double(s) * gradient_sum;
}
// e = (alpha/clip...) sqrt(projection_scale) s, rounded once
PLUMBLINE_HD double channel_step(double step, float s) { return step * double(s); }
// p <- p keep - e g
template <class F>
PLUMBLINE_HD F apply_channel(F p, F g, F e, F keep) {
  if (is_mutant(Mutant::decay_after_update)) return fma(-e, g, p) * keep;
  return fma(-e, g, p * keep);
}

}  // namespace plumbline::core
