// FP8 as the chip converts to it: to nearest even, saturating at the largest finite number, NaN to 0x7f.
//   e4m3   1-4-3, bias 7, largest 448, no infinity        e5m2   1-5-2, bias 15, largest 57344
#pragma once
#include "cuda/core/number.h"

namespace plumbline::diagnostics {

struct Fp8Format {
  int mantissa, bias;
  uint32_t largest;  // code of the largest finite number
};
constexpr Fp8Format kE4m3 = {3, 7, 0x7e}, kE5m2 = {2, 15, 0x7b};

// In integers, but for subnormals, whose rounding an addition does.
PLUMBLINE_HD uint32_t narrow_fp8(float x, Fp8Format f) {
  const uint32_t bits = core::to_bits(x), u = bits & 0x7fffffffu, sign = (bits >> 24) & 0x80u;
  if (u > 0x7f800000u) return 0x7fu;
  const int shift = 23 - f.mantissa;
  uint32_t code = 0;
  if (u >= uint32_t(128 - f.bias) << 23) {
    code = ((u + (1u << (shift - 1)) - 1u + ((u >> shift) & 1u)) >> shift) - (uint32_t(127 - f.bias) << f.mantissa);
  } else {
    const uint32_t magic = uint32_t(127 + 24 - f.bias - f.mantissa) << 23;
    code = core::to_bits(core::from_bits(u) + core::from_bits(magic)) - magic;
  }
  return sign | (code > f.largest ? f.largest : code);
}
// The magnitude of a code that is not NaN.
PLUMBLINE_HD float widen_fp8(uint32_t code, Fp8Format f) {
  const uint32_t exponent = (code & 0x7fu) >> f.mantissa, fraction = code & ((1u << f.mantissa) - 1u);
  if (exponent == 0) return float(fraction) * core::from_bits(uint32_t(127 + 1 - f.bias - f.mantissa) << 23);
  return core::from_bits(((exponent + uint32_t(127 - f.bias)) << 23) | (fraction << (23 - f.mantissa)));
}

}  // namespace plumbline::diagnostics
