// log2 and exp2 in float32: the same bits wherever fused multiply-add is IEEE, within their certificates
// (certificates.h) of the true value, monotone, exact on powers of two. No tables and no branches, so that host loops
// over them become vector code.
#pragma once
#include "cuda/core/certificates.h"
#include "cuda/core/number.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// log2 of a normal positive v. v = 2^e m with m in [sqrt(1/2), sqrt(2)); log2 m = (2/ln 2) atanh(s), s = (m-1)/(m+1);
// the leading term is kept to two floats, the rest of the series is below a hundredth of it.
PLUMBLINE_HD float log2(float v) {
  const uint32_t shifted = to_bits(v) - 0x3f3504f3u;  // bits of sqrt(1/2)
  const float e = float(int32_t(shifted) >> 23);
  const float m = from_bits((shifted & 0x007fffffu) + 0x3f3504f3u);
  const float num = m - 1.0f, den = m + 1.0f, den_lo = num - (den - 2.0f);  // m - 1 is exact
  const float s = num / den, s_lo = fma(-s, den_lo, fma(-s, den, num)) / den;
  const float z = s * s;
  float q = 0x1.0c9a84p-2f;       // (2/ln 2)/11
  q = fma(q, z, 0x1.484b14p-2f);  // /9
  q = fma(q, z, 0x1.a61762p-2f);  // /7
  q = fma(q, z, 0x1.2776c6p-1f);  // /5
  q = fma(q, z, 0x1.ec709ep-1f);  // /3
  const float p = 0x1.715476p+1f * s, p_error = fma(0x1.715476p+1f, s, -p);
  const float tail = fma(s * z, q, fma(0x1.715476p+1f, s_lo, fma(0x1.4ae0cp-25f, s, p_error)));
  const float sum = e + p, error = (e - sum) + p;  // exact: e = 0 or |e| >= 1 > |p|
  return sum + (error + tail);
}

// x 2^k for k in [-252, 254] by two exact factors: only a subnormal result rounds.
PLUMBLINE_HD float scale_by_power(float x, int k) {
  const int half = k >> 1;
  return (x * from_bits(uint32_t(half + 127) << 23)) * from_bits(uint32_t(k - half + 127) << 23);
}

// 2^(k + f), f in [-1/2, 1/2]: the exponent comes in two parts, so that a large k costs f no bits.
PLUMBLINE_HD float exp2(int k, float f) {
  float q = 0x1.62c022p-20f;       // (ln 2)^8/8!
  q = fma(q, f, 0x1.ffcbfcp-17f);  // /7!
  q = fma(q, f, 0x1.430912p-13f);
  q = fma(q, f, 0x1.5d87fep-10f);
  q = fma(q, f, 0x1.3b2ab6p-7f);
  q = fma(q, f, 0x1.c6b08ep-5f);
  q = fma(q, f, 0x1.ebfbep-3f);  // /2!
  const float p = 0x1.62e43p-1f * f, p_error = fma(0x1.62e43p-1f, f, -p);
  const float tail = fma(f * f, q, fma(-0x1.05c61p-29f, f, p_error));
  const float sum = 1.0f + p, error = p - (sum - 1.0f);
  return scale_by_power(sum + (error + tail), k);
}

}  // namespace plumbline::core
