// Arithmetic of the W8A8 linear layer, the same on host and device: one rounding an operation, to nearest even.
//
//   scale      s = max(fl(absmax/127), 1e-30); NaN where a value is not finite, and every code is 0 then
//   code       clamp(round_half_even(fl(x/s)), -127, 127)
//   product    acc = sum of code * code in int32: exact up to kExactInputs inputs
//   output     y = fl(fl(fl(float(acc)) s_x) s_w + bias), the last product and sum fused; then the type's rounding
//   weight     w = fl(code s_w), or fl(E4M3 s), wherever it is multiplied as a float32
//   dot        (up to 16 tokens) lane l of 32 takes the groups of 16 inputs l, l + 32, ... by fused multiply-adds from
//              +0; adjacent lanes are added pairwise; then fl(sum + bias)
//   matmul     chunks of 64 inputs by fused multiply-adds from +0, added to the total in order; then fl(total + bias)
#pragma once
#include "cuda/core/number.h"
#include "cuda/core/ops.h"
#include "cuda/linear/fault.h"

namespace plumbline::linear {

constexpr int kCodeLimit = 127;
constexpr float kScaleFloor = 1e-30f;
constexpr int64_t kExactInputs = 132'104;  // floor((2^31 - 1) / (128 * 127)): codes from outside may be -128
constexpr int64_t kSmallBatch = 16;        // tokens up to which the weight is dequantized instead
constexpr int kGroup = 16;                 // inputs that a thread loads at once
constexpr int kLanes = 32;                 // of the dot
constexpr int kChunk = 64;                 // inputs of one chunk of the matmul
constexpr int64_t kPitch = 128;            // rows of codes are padded with zeros to a multiple of this many bytes

PLUMBLINE_HD int64_t padded(int64_t inputs) { return (inputs + kPitch - 1) / kPitch * kPitch; }

// Largest magnitude by its bits: an order of integers, in which NaN is above infinity.
PLUMBLINE_HD uint32_t magnitude_bits(float x) { return core::to_bits(x) & 0x7fffffffu; }

PLUMBLINE_HD float scale_of(uint32_t absmax_bits, Fault fault = Fault::none) {
  if (absmax_bits >= 0x7f800000u && fault != Fault::hidden_nonfinite) return core::canonical_nan();
  const float s = core::from_bits(absmax_bits) / float(fault == Fault::code_minus_128 ? 128 : kCodeLimit);
  return s >= kScaleFloor ? s : kScaleFloor;
}

PLUMBLINE_HD int8_t code_of(float x, float scale, Fault fault = Fault::none) {
  if (!(scale == scale)) return 0;
  const float low = fault == Fault::code_minus_128 ? -128.0f : -float(kCodeLimit);
  const float quotient = core::clamp(x / scale, low, float(kCodeLimit)), code = core::round_even(quotient);
  if (fault == Fault::round_half_up) return int8_t(quotient - code == 0.5f ? code + 1.0f : code);
  return int8_t(code);
}

PLUMBLINE_HD float output_of(int32_t accumulator, float x_scale, float w_scale, float bias) {
  return core::fma(float(accumulator) * x_scale, w_scale, bias);
}

// E4M3: 4 bits of exponent, 3 of mantissa, no infinities; 0x7f and 0xff are NaN. Exact.
PLUMBLINE_HD float decode_e4m3(uint8_t code, Fault fault = Fault::none) {
  const uint32_t magnitude = code & 0x7fu, sign = uint32_t(code & 0x80u) << 24;
  if (magnitude == 0x7fu) return core::canonical_nan();
  if (fault == Fault::flushed_subnormals && magnitude < 8u) return core::from_bits(sign);
  // exponent and mantissa in float32's places are 2^(127 - 7) too small, subnormals included
  return core::from_bits(core::to_bits(core::from_bits(magnitude << 20) * 0x1p120f) | sign);
}

PLUMBLINE_HD float weight_of(int8_t code, float scale) { return float(code) * scale; }

}  // namespace plumbline::linear
