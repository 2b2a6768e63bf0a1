// Number formats of parameters and gradients: widening is exact, narrowing rounds to nearest even, and every NaN that
// is stored is the canonical one (float32 0x7fffffff, 16-bit types 0x7fff).
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/platform.h"

namespace plumbline::core {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

constexpr uint32_t kCanonicalNan = 0x7fffffffu;
PLUMBLINE_HD float canonical_nan() { return from_bits(kCanonicalNan); }
// What is stored in place of x: hosts and devices make NaNs of different bits.
PLUMBLINE_HD float canonical(float x) { return x == x ? x : canonical_nan(); }
PLUMBLINE_HD double canonical_nan64() { return from_bits64(0x7ff8000000000000u); }
PLUMBLINE_HD double canonical(double x) { return x == x ? x : canonical_nan64(); }

// Selections below are by masks and not by branches, so that host loops over them become vector code.
PLUMBLINE_HD uint32_t select(bool take, uint32_t a, uint32_t b) {
  const uint32_t mask = 0u - uint32_t(take);
  return (a & mask) | (b & ~mask);
}

PLUMBLINE_HD float widen(float x) { return x; }
PLUMBLINE_HD float widen(bf16 x) { return from_bits(uint32_t(x.bits) << 16); }
PLUMBLINE_HD float widen(f16 x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
#else
  const uint32_t magnitude = uint32_t(x.bits & 0x7fffu) << 13, sign = uint32_t(x.bits & 0x8000u) << 16;
  // rebias the exponent by 112, for infinities and NaN by 224; a subnormal is 2^-14 (1 + mantissa) - 2^-14
  const uint32_t normal = magnitude + select(magnitude >= 0x0f800000u, 224u << 23, 112u << 23);
  const uint32_t subnormal = to_bits(from_bits(magnitude + (113u << 23)) - 0x1p-14f);
  return from_bits(select(magnitude < 0x00800000u, subnormal, normal) | sign);
#endif
}

PLUMBLINE_HD void narrow(float x, float& out) { out = canonical(x); }
PLUMBLINE_HD void narrow(float x, bf16& out) {
  if (is_mutant(Mutant::bfloat16_truncated)) {
    out.bits = uint16_t(to_bits(canonical(x)) >> 16);
    return;
  }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(x));
#else
  const uint32_t u = to_bits(x), rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  out.bits = uint16_t(select((u & 0x7fffffffu) > 0x7f800000u, 0x7fffu, rounded));
#endif
}
PLUMBLINE_HD void narrow(float x, f16& out) {
  if (is_mutant(Mutant::float16_flushed) && (to_bits(x) & 0x7fffffffu) < 0x38800000u) {
    out.bits = uint16_t((to_bits(x) >> 16) & 0x8000u);
    return;
  }
#ifdef __CUDA_ARCH__
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out.bits) : "f"(x));
#else
  const uint32_t u = to_bits(x), magnitude = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  // adding 1/2 puts the last bit kept at 2^-24, the spacing of float16 subnormals
  const uint32_t small = to_bits(from_bits(select(magnitude < 0x38800000u, magnitude, 0u)) + 0.5f) - to_bits(0.5f);
  uint32_t bits = select(magnitude < 0x38800000u, small, normal);
  bits = select(magnitude >= 0x47800000u, 0x7c00u, bits) | sign;
  out.bits = uint16_t(select(magnitude > 0x7f800000u, 0x7fffu, bits));
#endif
}

// Stochastic rounding by 16 random bits: away from zero with the probability of the bits that are cut off, as adding
// the random bits to them does. Exact for bfloat16 and normal float16; of a float16 subnormal's longer remainder the
// first 16 bits count. An infinity stays one.
PLUMBLINE_HD void narrow_stochastic(float x, uint32_t random, bf16& out) {
  const uint32_t u = to_bits(x), sum = u + random;
  out.bits = uint16_t(select((u & 0x7fffffffu) > 0x7f800000u, 0x7fffu, sum >> 16));
}
PLUMBLINE_HD void narrow_stochastic(float x, uint32_t random, f16& out) {
  const uint32_t u = to_bits(x), magnitude = u & 0x7fffffffu, sign = (u >> 16) & 0x8000u;
  // 13 bits are cut off a normal number
  const uint32_t normal = (magnitude - (112u << 23) + (random >> 3)) >> 13;
  // a subnormal is the 24-bit significand in units of 2^-24: shifted right by 126 - exponent, 14 and more; by 62, which
  // leaves nothing, where it is far below and where the number is none
  const uint32_t exponent = magnitude >> 23, cut = exponent - 64u < 63u ? 126u - exponent : 62u;
  const uint64_t significand = uint64_t((magnitude & 0x007fffffu) | 0x00800000u) << 16;  // 16 bits more to compare
  const uint32_t small = uint32_t(((significand >> cut) + random) >> 16);
  uint32_t bits = select(magnitude < 0x38800000u, small, normal);
  bits = select(magnitude >= 0x47800000u, 0x7c00u, bits) | sign;
  out.bits = uint16_t(select(magnitude > 0x7f800000u, 0x7fffu, bits));
}

// An element falls under the non-finite policy when it is not finite or its square would overflow a sum.
constexpr float kGradientLimit = 0x1p50f;
PLUMBLINE_HD bool is_nonfinite(float g) {
  if (is_mutant(Mutant::infinity_is_finite)) return !(g == g);
  return !(from_bits(to_bits(g) & 0x7fffffffu) < kGradientLimit);
}
// A sum of squares below this has no such element in it: one comparison a row can stand for one an element.
constexpr float kSquareLimit = 0x1p100f;

}  // namespace plumbline::core
