// One input of a scan: what the function gives, and how far that is from the truth. Whether a quotient, a root or a
// conversion is correctly rounded is decided exactly, in doubles that hold every product in question; of log2 and exp2
// by the references of exact.h.
#pragma once
#include "cuda/core/elementary.h"
#include "cuda/diagnostics/exact.h"
#include "cuda/diagnostics/fp8.h"
#include "cuda/diagnostics/function.h"

namespace plumbline::diagnostics {

struct Judgement {
  bool in_domain;  // false: the function promises nothing here
  bool nearest;    // correctly rounded, or the special value that it has to be
  double ulps;     // distance from the truth; infinity for a wrong special value
};

PLUMBLINE_HD double infinity() { return core::from_bits64(uint64_t(0x7ff) << 52); }
PLUMBLINE_HD Judgement special(bool right) { return {true, right, right ? 0.0 : infinity()}; }
PLUMBLINE_HD bool is_even(float y) { return (core::to_bits(y) & 1u) == 0; }
PLUMBLINE_HD bool is_nan(float y) { return !(y == y); }
PLUMBLINE_HD bool has_bits(float y, uint32_t bits) { return core::to_bits(y) == bits; }
// Spacing above and below a float32 y >= 0, below it half where y is a power of two.
PLUMBLINE_HD double gap(float y, bool above) {
  const double h = ulp32(double(y));
  const bool power = (core::to_bits(y) & 0x007fffffu) == 0 && y > 0x1p-126f;
  return !above && power ? 0.5 * h : h;
}

// y as n/d.
PLUMBLINE_HD Judgement judge_quotient(float n, float d, float y) {
  constexpr uint32_t kSign = 0x80000000u, kInfinity = 0x7f800000u;
  const uint32_t sign = (core::to_bits(n) ^ core::to_bits(d)) & kSign;
  const uint32_t n_bits = core::to_bits(n) & ~kSign, d_bits = core::to_bits(d) & ~kSign;
  if (n_bits > kInfinity || d_bits > kInfinity || (n_bits == 0 && d_bits == 0) ||
      (n_bits == kInfinity && d_bits == kInfinity))
    return special(is_nan(y));
  if (n_bits == kInfinity || d_bits == 0) return special(has_bits(y, sign | kInfinity));
  if (n_bits == 0 || d_bits == kInfinity) return special(has_bits(y, sign));
  if (is_nan(y) || (core::to_bits(y) & kSign) != sign) return special(false);
  const double N = core::from_bits(n_bits), D = core::from_bits(d_bits), kOverflow = 0x1p128 - 0x1p103;
  if ((core::to_bits(y) & ~kSign) == kInfinity) return special(N >= kOverflow * D);
  const float Y = core::from_bits(core::to_bits(y) & ~kSign);
  const double r = core::fma(-double(Y), D, N), h = gap(Y, r >= 0.0), twice = 2.0 * magnitude(r), limit = h * D;
  return {true, twice < limit || (twice == limit && is_even(Y)), magnitude(r) / limit};
}

PLUMBLINE_HD Judgement judge_root(float x, float y) {
  const uint32_t bits = core::to_bits(x);
  if (bits == 0 || bits == 0x80000000u || bits == 0x7f800000u) return special(has_bits(y, bits));
  if (bits > 0x7f800000u) return special(is_nan(y));  // NaN, or negative
  if (!(y > 0.0f && core::to_bits(y) < 0x7f800000u)) return special(false);
  const double Y = double(y), r = core::fma(-Y, Y, double(x)), h = gap(y, r >= 0.0);
  // no square of a midpoint is a float32
  const double limit = r >= 0.0 ? core::fma(Y, h, 0.25 * h * h) : core::fma(Y, h, -0.25 * h * h);
  return {true, magnitude(r) < limit, magnitude(r) / (2.0 * Y * h)};
}

// x stored with `precision` bits of which the first is implicit, least normal exponent `least`, largest finite number
// `largest`; what rounds above that becomes infinity or, `saturating`, the largest. got: magnitude of what was stored.
struct Narrow {
  int precision, least;
  double largest;
  bool saturating;
};
PLUMBLINE_HD Judgement judge_narrow(float x, Narrow f, bool nan, bool negative, double got) {
  if (is_nan(x)) return special(nan);
  if (nan || negative != ((core::to_bits(x) >> 31) != 0)) return special(false);
  const double X = double(core::from_bits(core::to_bits(x) & 0x7fffffffu));
  if (!(X < infinity())) return special(got == (f.saturating ? f.largest : infinity()));
  const int e = exponent_of(X);
  const double quantum = power_of_two((e < f.least ? f.least : e) - f.precision + 1);
  const double rounded = core::round_even(X / quantum) * quantum;
  if (rounded > f.largest) return special(got == (f.saturating ? f.largest : infinity()));
  return {true, got == rounded, magnitude(got - X) / quantum};
}

// y 2^-shift against t, ulps of 2^shift t. False: too near to a tie for this reference.
PLUMBLINE_HD bool judge_against(double y, DoubleDouble t, double ulp, Judgement& out) {
  const double e = magnitude((y - t.hi) - t.lo) / ulp;
  out = {true, e <= 0.5, e};
  return !(magnitude(e - 0.5) < 0x1p-20);
}

PLUMBLINE_HD Judgement judge_log2(float x, float y) {
  Judgement j;
  DoubleDouble t = log2_quick(x);
  if (t.hi == 0.0) return special(has_bits(y, 0));
  if (!judge_against(double(y), t, ulp32(t.hi), j)) {
    t = log2_full(x);
    judge_against(double(y), t, ulp32(t.hi), j);
  }
  return j;
}
PLUMBLINE_HD Judgement judge_exp2(float x, float y) {
  Judgement j;
  const float whole = core::round_even(x), f = x - whole;
  const int k = int(whole);
  DoubleDouble t = exp2_quick(f);
  if (f == 0.0f) t = {1.0, 0.0};
  const double down = power_of_two(-k), scaled = double(y) * down, ulp = ulp32(t.hi * power_of_two(k)) * down;
  if (!judge_against(scaled, t, ulp, j)) judge_against(scaled, exp2_full(f), ulp, j);
  return j;
}

PLUMBLINE_HD float exp2_of(float x) {
  const float whole = core::round_even(x);
  return core::exp2(int(whole), x - whole);
}
PLUMBLINE_HD bool is_normal_positive(float x) { return core::to_bits(x) - 0x00800000u < 0x7f000000u; }

// The function's result as bits; a NaN is the canonical one.
template <Function F>
PLUMBLINE_HD uint32_t evaluate(float x, [[maybe_unused]] float divisor) {
  [[maybe_unused]] float y = 0;
  if constexpr (F == Function::log2) {
    y = core::log2(is_normal_positive(x) ? x : 1.0f);
  } else if constexpr (F == Function::exp2 || F == Function::exp2_subnormal) {
    y = exp2_of(core::clamp(x, -150.5f, 0x1.fffffep+6f));
  } else if constexpr (F == Function::sqrt) {
    y = core::sqrt(x);
  } else if constexpr (F == Function::reciprocal) {
    y = 1.0f / x;
  } else if constexpr (F == Function::divide) {
    y = x / divisor;
  } else if constexpr (F == Function::to_bfloat16) {
    core::bf16 z;
    core::narrow(x, z);
    return z.bits;
  } else if constexpr (F == Function::to_float16) {
    core::f16 z;
    core::narrow(x, z);
    return z.bits;
  } else if constexpr (F == Function::to_e4m3) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    return pair & 0xffu;
#else
    return narrow_fp8(x, kE4m3);
#endif
  } else if constexpr (F == Function::to_e5m2) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    return pair & 0xffu;
#else
    return narrow_fp8(x, kE5m2);
#endif
  } else {
#ifdef __CUDA_ARCH__
    if constexpr (F == Function::chip_rsqrt) asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    if constexpr (F == Function::chip_exp2) asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    if constexpr (F == Function::chip_log2) asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
#endif
  }
  return core::to_bits(core::canonical(y));
}

template <Function F>
PLUMBLINE_HD Judgement judge(float x, [[maybe_unused]] float divisor, uint32_t bits) {
  const float y = core::from_bits(bits);
  const Judgement outside = {false, true, 0.0};
  if constexpr (F == Function::log2 || F == Function::chip_log2) {
    return is_normal_positive(x) ? judge_log2(x, y) : outside;
  } else if constexpr (F == Function::exp2 || F == Function::chip_exp2) {
    return x >= -126.0f && x < 128.0f ? judge_exp2(x, y) : outside;
  } else if constexpr (F == Function::exp2_subnormal) {
    return x > -150.0f && x < -126.0f ? judge_exp2(x, y) : outside;
  } else if constexpr (F == Function::sqrt) {
    return judge_root(x, y);
  } else if constexpr (F == Function::reciprocal) {
    return judge_quotient(1.0f, x, y);
  } else if constexpr (F == Function::divide) {
    return judge_quotient(x, divisor, y);
  } else if constexpr (F == Function::to_bfloat16) {
    const float got = core::widen(core::bf16{uint16_t(bits & 0x7fffu)});
    return judge_narrow(x, {8, -126, 0x1.fep127, false}, is_nan(got), (bits & 0x8000u) != 0, double(got));
  } else if constexpr (F == Function::to_float16) {
    const float got = core::widen(core::f16{uint16_t(bits & 0x7fffu)});
    return judge_narrow(x, {11, -14, 65504.0, false}, is_nan(got), (bits & 0x8000u) != 0, double(got));
  } else if constexpr (F == Function::to_e4m3) {
    const bool nan = (bits & 0x7fu) == 0x7fu;
    return judge_narrow(x, {4, -6, 448.0, true}, nan, (bits & 0x80u) != 0, double(widen_fp8(bits, kE4m3)));
  } else if constexpr (F == Function::to_e5m2) {
    const bool nan = (bits & 0x7fu) > 0x7cu;
    return judge_narrow(x, {3, -14, 57344.0, true}, nan, (bits & 0x80u) != 0, double(widen_fp8(bits, kE5m2)));
  } else {
    if (!is_normal_positive(x)) return outside;
    Judgement j;
    const double t = 1.0 / core::sqrt(double(x));
    judge_against(double(y), {t, 0.0}, ulp32(t), j);
    return j;
  }
}

}  // namespace plumbline::diagnostics
