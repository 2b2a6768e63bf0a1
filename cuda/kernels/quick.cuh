// The same values as core's expressions by fewer operations where the operands allow it: whoever calls asks first.
#pragma once
#include "cuda/core/codec.h"
#include "cuda/core/update.h"
#include "cuda/device.h"

namespace plumbline::PLUMBLINE_TARGET {

// g/sqrt(v), both correctly rounded, for |g| in [2^-100, 2^50) and v in [2^-100, 2^100]: every remainder below is then
// exact. One approximation serves both: sqrt(v) by a step of Newton on its remainder, the quotient by two on its own
// with a reciprocal that is half an ulp and a little more off.                           [Markstein 1990, IBM J. R&D
// 34]
PLUMBLINE_DEVICE bool is_quick_gradient(float g) {
  const float size = core::from_bits(core::to_bits(g) & 0x7fffffffu);
  return size >= 0x1p-100f && size < core::kGradientLimit;
}
PLUMBLINE_DEVICE bool is_quick_moment(float v) { return v >= 0x1p-100f && v <= 0x1p100f; }
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

// Codes of al8 and log_u8 to nearest by the chip's logarithm, where that cannot change the integer. In units of codes
// core::encode_log and this differ by less than (max |l| + 1) 2^-20 per octave's codes for the two logarithms (3/8 of
// it is what they can be off) and 2^-13 for everything behind them: x must keep that distance from a tie.
struct QuickEncoder {
  float lo, per_octave, first, last;
  float most;  // distance to an integer that decides; below 0: none does
};
PLUMBLINE_DEVICE QuickEncoder quick_encoder(Storage storage, core::BlockScale s) {
  const float intervals = core::log_intervals(storage, Rounding::nearest), per_octave = intervals / s.r;
  const float low = core::from_bits(core::to_bits(s.lo) & 0x7fffffffu);
  const float high = core::from_bits(core::to_bits(s.lo + s.r) & 0x7fffffffu), size = low >= high ? low : high;
  const float most = 0.5f - 0x1p-13f - (size + 1.0f) * 0x1p-20f * per_octave;
  return {s.lo, per_octave, core::first_code(storage), core::last_code(storage), most == most ? most : -1.0f};
}
// True when `code` is the code of v.
PLUMBLINE_DEVICE bool quick_code(float v, const QuickEncoder& q, uint32_t& code) {
  const float x = core::fma(approximate_log2(v) - q.lo, q.per_octave, q.first), k = core::round_even(x);
  code = uint32_t(int(core::clamp(k, q.first, q.last)));
  const float distance = core::from_bits(core::to_bits(x - k) & 0x7fffffffu);
  return distance <= q.most && v >= core::kLogFloor && v <= core::kLogCeiling;
}
PLUMBLINE_DEVICE uint32_t exact_code(Storage storage, float v, core::BlockScale s) {
  const float first = core::first_code(storage);
  const core::BlockEncoder encoder = {
      s, core::log_intervals(storage, Rounding::nearest), first, first, core::last_code(storage), {}};
  return uint32_t(int(core::encode_log(v, encoder)));
}

}  // namespace plumbline::PLUMBLINE_TARGET
