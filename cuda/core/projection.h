// APOLLO: statistics of a random projection of the gradient give one scale per channel of the full gradient.
//                                                                         [Zhu et al. 2024, arXiv 2412.05270, alg. 1]
// The tensor is one matrix of m = shape[0] rows and n columns. m >= n: columns are reduced (K = n), a channel is a row,
// G_low = G P is m x r; else rows are reduced (K = m), a channel is a column and G_low = P^T G is r x n.
// An entry is a difference of fair coins, (popcount(word) - 16) / sqrt(8 r): mean 0, variance 1/r. P is made anew from
// the counter in every step and is no state.
#pragma once
#include "cuda/core/geometry.h"
#include "cuda/core/mutant.h"
#include "cuda/core/number.h"
#include "cuda/core/ops.h"
#include "cuda/core/philox.h"

namespace plumbline::core {

constexpr double kScaleFloor = 1e-8;  // added to the norm of G_low

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

// How a device keeps P: slabs of 32 terms, in each the ranks in tiles that a block takes whole; 0 beyond either end.
constexpr int kSlab = 32;
PLUMBLINE_HD int projection_ranks(int rank) { return rank <= 16 ? 16 : rank <= 64 ? 64 : rank <= 128 ? 128 : 256; }
PLUMBLINE_HD int padded_ranks(int rank) { return int(ceil_div(rank, projection_ranks(rank))) * projection_ranks(rank); }
PLUMBLINE_HD int projection_slabs(int reduced) { return int(ceil_div(reduced, kSlab)); }
PLUMBLINE_HD int64_t projection_bytes(int reduced, int rank) {
  return int64_t(projection_slabs(reduced)) * kSlab * padded_ranks(rank);
}

// ---- G_low in integers: the same bits from tensor cores, from any other hardware and in any order ----
//
// The largest |g| of a channel fixes a grid: q_j = round_even(2^s g_j), s as large as |q| <= 127 (65536 + 256 + 1)
// allows from its exponent. Then sum_j entry_jk q_j is an integer of at most 2^47, and
//   G_low = fl(fl(unit 2^-s) sum), the product in double.
// Tensor cores take q = d2 65536 + d1 256 + d0 by its digits of -128 ... 127; up to kMaxReduced terms (and unless 2^20
// entries are all -16) a sum of digits times entries stays within int32. A channel with elements that are not finite is
// the sum of those times their entries.
constexpr int64_t kMaxReduced = int64_t(1) << 20;
constexpr int kDigits = 3;

// Bits of |x|: they order as the values do, infinity and NaN above all others.
constexpr uint32_t kInfinityBits = 0x7f800000u;
PLUMBLINE_HD uint32_t magnitude_bits(float x) { return to_bits(x) & 0x7fffffffu; }

// s from the bits of the largest |g|: 149 leaves every float32 on the grid. The carry takes a significand whose q would
// pass the largest to the next exponent.
PLUMBLINE_HD int grid_exponent(uint32_t largest) {
  return largest <= 127u * 0x10101u ? 149 : 149 - int((largest + 0x10101u) >> 23);
}

// 2^s in two factors, as a subnormal channel needs more than float32 has.
struct ChannelGrid {
  float coarse, fine;
};
PLUMBLINE_HD float power_of_two(int exponent) { return from_bits(uint32_t(exponent + 127) << 23); }
PLUMBLINE_HD ChannelGrid channel_grid(uint32_t largest) {
  const int s = grid_exponent(largest), coarse = s < 100 ? s : 100;
  return {power_of_two(coarse), power_of_two(s - coarse)};
}
// unit 2^-s
PLUMBLINE_HD double grid_step(uint32_t largest, double unit) {
  const int s = is_mutant(Mutant::grid_step_off) ? 149 - int(largest >> 23) : grid_exponent(largest);
  return unit * from_bits64(uint64_t(1023 - s) << 52);
}
PLUMBLINE_HD float on_grid(float g, ChannelGrid grid) { return g * grid.coarse * grid.fine; }
// q; of a channel that is not finite whatever comes.
PLUMBLINE_HD int32_t grid_point(float g, ChannelGrid grid) {
  const float x = on_grid(g, grid);
#ifdef __CUDA_ARCH__
  return is_mutant(Mutant::grid_truncated) ? __float2int_rz(x) : __float2int_rn(x);
#else
  if (!(x >= -0x1p24f && x <= 0x1p24f)) return 0;
  return int32_t(is_mutant(Mutant::grid_truncated) ? double(x) : round_even(double(x)));
#endif
}
// Digit i in byte i.
PLUMBLINE_HD uint32_t grid_digits(int32_t q) {
  if (is_mutant(Mutant::digit_carry_lost)) return uint32_t(q);
  return (uint32_t(q) + 0x808080u) ^ 0x808080u;
}
PLUMBLINE_HD int64_t sum_of_digits(int32_t d2, int32_t d1, int32_t d0) {
  return int64_t(d2) * 65536 + int64_t(d1) * (is_mutant(Mutant::digit_weight) ? 255 : 256) + int64_t(d0);
}
PLUMBLINE_HD float low_rank_gradient(int64_t sum, double step) { return float(double(sum) * step); }
// One term of a channel that is not finite.
PLUMBLINE_HD double add_nonfinite(double sum, float g, int entry) {
  return magnitude_bits(g) < kInfinityBits ? sum : sum + double(g) * double(entry);
}

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
