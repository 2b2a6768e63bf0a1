// The operations that a rounding recipe is made of: IEEE, to nearest even, one rounding each. Equations call them
// unqualified, so that a scalar of another namespace (one that counts roundings) brings its own.
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::core {

PLUMBLINE_HD float fma(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
PLUMBLINE_HD double fma(double a, double b, double c) {
#ifdef __CUDA_ARCH__
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}
PLUMBLINE_HD float sqrt(float x) {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}
PLUMBLINE_HD double sqrt(double x) {
#ifdef __CUDA_ARCH__
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

// To the nearest integer, ties to even; exact for |x| < 2^22, the only arguments it gets.
PLUMBLINE_HD float round_even(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
// Likewise for |x| < 2^51.
PLUMBLINE_HD double round_even(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

// Largest integer not above x.
PLUMBLINE_HD float floor(float x) {
#ifdef __CUDA_ARCH__
  return ::floorf(x);
#else
  return __builtin_floorf(x);
#endif
}

// x limited to [low, high]; NaN becomes low.
PLUMBLINE_HD float clamp(float x, float low, float high) {
  const float y = x >= low ? x : low;
  return y <= high ? y : high;
}

}  // namespace plumbline::core
