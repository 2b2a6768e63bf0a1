// What a function of a float32 really is: references for scans, in double and double-double, the same on device and
// host. The quick ones are off by less than 2^-56 of the result and decide nearly every rounding; the full ones, by
// less than 2^-90, decide the rest (no float32 input of either function lies nearer to a tie than 2^-34 ulp).
#pragma once
#include "cuda/core/power.h"

// The full forms are rare, so they stay out of line and rolled up on a device.
#ifdef __CUDACC__
#define PLUMBLINE_HD_RARE __host__ __device__ __noinline__ inline
#else
#define PLUMBLINE_HD_RARE inline
#endif
#ifdef __CUDA_ARCH__
#define PLUMBLINE_ROLLED _Pragma("unroll 1")
#else
#define PLUMBLINE_ROLLED
#endif

namespace plumbline::diagnostics {

using core::DoubleDouble;

PLUMBLINE_HD uint64_t to_bits64(double x) {
#ifdef __CUDA_ARCH__
  return uint64_t(__double_as_longlong(x));
#else
  uint64_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
#endif
}
// 2^e for -1022 <= e <= 1023.
PLUMBLINE_HD double power_of_two(int e) { return core::from_bits64(uint64_t(e + 1023) << 52); }
// floor(log2 |x|) of a normal x.
PLUMBLINE_HD int exponent_of(double x) { return int((to_bits64(x) >> 52) & 0x7ffu) - 1023; }
PLUMBLINE_HD double magnitude(double x) { return core::from_bits64(to_bits64(x) & ~(uint64_t(1) << 63)); }

PLUMBLINE_HD DoubleDouble add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble s = core::two_sum(a.hi, b.hi), t = core::two_sum(a.lo, b.lo);
  const DoubleDouble c = core::quick_two_sum(s.hi, s.lo + t.hi);
  return core::quick_two_sum(c.hi, c.lo + t.lo);
}
PLUMBLINE_HD DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble p = core::two_product(a.hi, b.hi);
  return core::quick_two_sum(p.hi, p.lo + core::fma(a.hi, b.lo, a.lo * b.hi));
}
PLUMBLINE_HD DoubleDouble divide(DoubleDouble a, double b) {
  const double q = a.hi / b, r = core::fma(-q, b, a.hi) + a.lo, q2 = r / b;
  const double q3 = core::fma(-q2, b, r) / b;
  const DoubleDouble s = core::quick_two_sum(q, q2);
  return core::quick_two_sum(s.hi, s.lo + q3);
}

constexpr DoubleDouble kTwoOverLn2 = {0x1.71547652b82fep1, 0x1.777d0ffda0d24p-55};
constexpr DoubleDouble kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};

// v = 2^e m, m in [sqrt(1/2), sqrt(2)), for a normal positive v.
struct Split {
  double e, m;
};
PLUMBLINE_HD Split split(float v) {
  const uint32_t shifted = core::to_bits(v) - 0x3f3504f3u;
  return {double(int32_t(shifted) >> 23), double(core::from_bits((shifted & 0x007fffffu) + 0x3f3504f3u))};
}

// log2 v = e + (2/ln 2) atanh((m - 1)/(m + 1))
PLUMBLINE_HD DoubleDouble log2_quick(float v) {
  const Split x = split(v);
  const double num = x.m - 1.0, den = x.m + 1.0;  // both exact
  const double s = num / den, s_lo = core::fma(-s, den, num) / den, z = s * s;
  double q = 1.0 / 29.0;  // sum_k z^k/(2k + 3)
  for (int k = 12; k >= 0; --k) q = core::fma(q, z, 1.0 / double(2 * k + 3));
  const DoubleDouble p = core::two_product(kTwoOverLn2.hi, s);
  const double tail = p.lo + core::fma(kTwoOverLn2.hi, core::fma(s * z, q, s_lo), kTwoOverLn2.lo * s);
  const DoubleDouble sum = core::two_sum(x.e, p.hi);
  return core::quick_two_sum(sum.hi, sum.lo + tail);
}
PLUMBLINE_HD_RARE DoubleDouble log2_full(float v) {
  const Split x = split(v);
  const DoubleDouble s = divide({x.m - 1.0, 0.0}, x.m + 1.0), z = multiply(s, s);
  DoubleDouble q = {0.0, 0.0};  // sum_k z^k/(2k + 1); z < 2^-5, so that 22 terms reach 2^-110
  PLUMBLINE_ROLLED
  for (int k = 22; k >= 0; --k) q = add(multiply(q, z), divide({1.0, 0.0}, double(2 * k + 1)));
  return add({x.e, 0.0}, multiply(multiply(kTwoOverLn2, s), q));
}

// 2^f for |f| <= 1/2, as e^y
PLUMBLINE_HD DoubleDouble exp2_quick(float f) {
  const DoubleDouble product = core::two_product(kLn2.hi, double(f));
  const double h = product.hi, l = core::fma(kLn2.lo, double(f), product.lo);
  double q = 1.0;  // 1 + h/4 (1 + h/5 (...))
  for (int n = 18; n >= 4; --n) q = core::fma(q, h * (1.0 / double(n)), 1.0);
  const DoubleDouble square = core::two_product(h, h);
  const double tail = core::fma(h * square.hi, q * (1.0 / 6.0), core::fma(0.5, square.lo, core::fma(h, l, l)));
  const DoubleDouble first = core::quick_two_sum(1.0, h), second = core::two_sum(first.hi, 0.5 * square.hi);
  return core::quick_two_sum(second.hi, second.lo + (first.lo + tail));
}
PLUMBLINE_HD_RARE DoubleDouble exp2_full(float f) {
  const DoubleDouble y = multiply(kLn2, {double(f), 0.0});
  DoubleDouble q = {1.0, 0.0};  // y < 0.35: the 28th term is below 2^-130
  PLUMBLINE_ROLLED
  for (int n = 28; n >= 1; --n) q = add({1.0, 0.0}, divide(multiply(q, y), double(n)));
  return q;
}

// The spacing of float32 at a value of this size: one ulp.
PLUMBLINE_HD double ulp32(double x) {
  const int e = exponent_of(x);
  return power_of_two((e < -126 ? -126 : e) - 23);
}

}  // namespace plumbline::diagnostics
