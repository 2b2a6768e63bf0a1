// The same values as core's expressions by fewer operations where the operands allow it: whoever calls asks first.
#pragma once
#include "cuda/core/codec.h"
#include "cuda/core/update.h"
#include "cuda/kernels/task.h"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// g/sqrt(v), both correctly rounded, for |g| in [2^-100, 2^50) and v in [2^-100, 2^100]: every remainder below is then
// exact. One approximation serves both: sqrt(v) by a step of Newton on its remainder, the quotient by two on its own
// with a reciprocal that is half an ulp and a little more off. [Markstein 1990, IBM J. R&D 34]
constexpr uint32_t kQuickLow = 0x0d800000u, kQuickHigh = 0x71800000u;  // bits of 2^-100 and 2^100
constexpr uint32_t kQuickLimit = 0x58800000u;                          // and of core::kGradientLimit
PLUMBLINE_DEVICE bool is_quick_gradient(float g) {                     // twice the bits: without the sign
  return 2u * core::to_bits(g) - 2u * kQuickLow < 2u * (kQuickLimit - kQuickLow);
}
// The lowest and the highest bits of some V.
struct MomentSpan {
  uint32_t low = 0xffffffffu, high = 0;
  PLUMBLINE_DEVICE void include(float v) {
    const uint32_t bits = core::to_bits(v);
    low = bits < low ? bits : low;
    high = bits > high ? bits : high;
  }
  PLUMBLINE_DEVICE bool is_quick() const { return low >= kQuickLow && high <= kQuickHigh; }
};
PLUMBLINE_DEVICE float quick_update(float g, float v) {
#ifdef PLUMBLINE_EMULATOR
  return core::full_update(g, v);  // the steps of Newton below are a matter of the chip's approximation
#else
  const float y = approximate_rsqrt(v), near = v * y, root = core::fma(core::fma(-near, near, v), 0.5f * y, near);
  const float inverse = core::fma(y, core::fma(-root, y, 1.0f), y), q = g * inverse;
  const float closer = core::fma(core::fma(-root, q, g), inverse, q);
  return core::fma(core::fma(-root, closer, g), inverse, closer);
#endif
}

// Codes of al8 and log_u8 to nearest by the chip's logarithm, where that cannot change the integer: of v in [2^-100,
// 2^100], in a block of such a scale. With l the larger of |lo| and |hi|, in units of codes: core::encode_log and this
// differ by less than (l + 1) 1.54 2^-22 per octave's codes (the chip's logarithm 1, core::log2 0.28, the offset here
// 0.25) and 5 2^-16 (3.5 for the four roundings there, 1.5 for two here). x must keep that distance from a tie.
struct QuickEncoder {
  float offset, per_octave;
  float most;  // distance to an integer that decides; below 0: none does
};
PLUMBLINE_DEVICE QuickEncoder quick_encoder(Storage storage, core::BlockScale s) {
  const float intervals = core::log_intervals(storage, Rounding::nearest), per_octave = intervals / s.r;
  const float low = core::from_bits(core::to_bits(s.lo) & 0x7fffffffu);
  const float high = core::from_bits(core::to_bits(s.lo + s.r) & 0x7fffffffu), size = low >= high ? low : high;
  const float most = 0.5f - 0x1.6p-14f - (size + 1.0f) * 0x1.9p-22f * per_octave;
  return {core::fma(-s.lo, per_octave, core::first_code(storage)), per_octave, most == most ? most : -1.0f};
}
// True when the lowest byte of `code` is the code of v.
PLUMBLINE_DEVICE bool quick_code(float v, const QuickEncoder& q, uint32_t& code) {
  constexpr float kInteger = 0x1.8p23f;  // as in core::round_even
  const float x = core::fma(approximate_log2(v), q.per_octave, q.offset), shifted = x + kInteger;
  const float distance = x - (shifted - kInteger);
  code = core::to_bits(shifted);
  return core::from_bits(core::to_bits(distance) & 0x7fffffffu) <= q.most;
}
// Out of line: rare, and long.
PLUMBLINE_FUNCTION uint32_t exact_code(Storage storage, float v, core::BlockScale s) {
  const float first = core::first_code(storage);
  const core::BlockEncoder encoder = {
      s, core::log_intervals(storage, Rounding::nearest), first, first, core::last_code(storage), {}};
  return uint32_t(int(core::encode_log(v, encoder)));
}
// Whether a slot's codes can be made so.
PLUMBLINE_HD bool takes_quick_codes(const SlotPlan& slot) {
  using core::Mutant;
  for (const Mutant general : {Mutant::code_truncated, Mutant::stale_scale, Mutant::neighbour_scale,
                               Mutant::short_block_kept, Mutant::range_barrier_lost, Mutant::range_of_one_warp})
    if (core::is_mutant(general)) return false;
  return (slot.storage == Storage::al8 || slot.storage == Storage::log_u8) && slot.rounding == Rounding::nearest;
}
// The codes of eight values, all of them in the range above where `quick`.
PLUMBLINE_DEVICE Bits<8> nearest_codes(Storage storage, const float (&v)[8], bool quick, core::BlockScale s) {
  const QuickEncoder encoder = quick_encoder(storage, s);
  uint32_t code[8];
  bool all = quick;
  PLUMBLINE_UNROLL
  for (int e = 0; e < 8; ++e) {
    const bool decided = quick_code(v[e], encoder, code[e]);
    all = all && decided;
  }
  Bits<8> codes;
  PLUMBLINE_UNROLL
  for (int w = 0; w < 2; ++w)
    codes.word[w] = byte_permute(byte_permute(code[4 * w], code[4 * w + 1], 0x0040u),
                                 byte_permute(code[4 * w + 2], code[4 * w + 3], 0x0040u), 0x5410u);
  if (all) return codes;
  uint32_t left = 0;  // which ones are not decided
  PLUMBLINE_UNROLL
  for (int e = 0; e < 8; ++e)
    if (!(quick && quick_code(v[e], encoder, code[e]))) left |= 1u << e;
  PLUMBLINE_LOOP
  while (left != 0) {  // the last of them
    float x = v[0];
    int at = 0;
    PLUMBLINE_UNROLL
    for (int e = 1; e < 8; ++e)
      if (left >> e & 1u) x = v[e], at = e;
    const uint32_t exact = exact_code(storage, x, s) << 8 * (at & 3), rest = ~(0xffu << 8 * (at & 3));
    if (at < 4)
      codes.word[0] = (codes.word[0] & rest) | exact;
    else
      codes.word[1] = (codes.word[1] & rest) | exact;
    left &= ~(1u << at);
  }
  return codes;
}
// Of any eight values.
PLUMBLINE_DEVICE Bits<8> quick_codes(Storage storage, const float (&v)[8], core::BlockScale scale) {
  MomentSpan span;
  PLUMBLINE_UNROLL
  for (int e = 0; e < 8; ++e) span.include(v[e]);
  return nearest_codes(storage, v, span.is_quick(), scale);
}

}  // namespace plumbline::PLUMBLINE_TARGET
