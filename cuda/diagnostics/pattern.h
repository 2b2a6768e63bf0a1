// Patterns of memory whose every word and whose sum are known in closed form: word i is first + i stride modulo 2^64,
// or the complement of that.
#pragma once
#include "cuda/diagnostics/mix.h"

namespace plumbline::diagnostics {

struct Pattern {
  uint64_t first = 0;
  uint64_t stride = 1;    // odd
  uint64_t inverted = 0;  // 0, or all ones

  PLUMBLINE_HD uint64_t word(uint64_t i) const { return (first + i * stride) ^ inverted; }
  PLUMBLINE_HD Pattern complement() const { return {first, stride, ~inverted}; }
  // Of words 0 to n - 1.
  PLUMBLINE_HD uint64_t sum(uint64_t n) const {
    const uint64_t pairs = n % 2 == 0 ? n / 2 * (n - 1) : n * ((n - 1) / 2);
    const uint64_t plain = n * first + pairs * stride;
    return inverted != 0 ? 0 - n - plain : plain;
  }
};
PLUMBLINE_HD Pattern pattern_of(uint64_t seed) { return {mix64(seed), mix64(seed + 1) | 1u, 0}; }

}  // namespace plumbline::diagnostics
