// Philox4x32-10, a counter-based generator of random words: a keyed bijection of 128-bit counters. The same counter and
// key give the same words anywhere.                                        [Salmon et al. 2011, SC'11, sec. 3.3]
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/platform.h"

namespace plumbline::core {

struct PhiloxKey {
  uint32_t k0, k1;
};
struct PhiloxWords {
  uint32_t w0, w1, w2, w3;
};

PLUMBLINE_HD uint32_t multiply_high(uint32_t a, uint32_t b) { return uint32_t((uint64_t(a) * b) >> 32); }

PLUMBLINE_HD PhiloxWords philox(PhiloxWords x, PhiloxKey key) {
  const int rounds = is_mutant(Mutant::philox_round_short) ? 9 : 10;
  for (int round = 0; round < rounds; ++round) {
    const uint32_t even_high = multiply_high(0xD2511F53u, x.w0), even_low = 0xD2511F53u * x.w0;
    const uint32_t odd_high = multiply_high(0xCD9E8D57u, x.w2), odd_low = 0xCD9E8D57u * x.w2;
    x = {odd_high ^ x.w1 ^ key.k0, odd_low, even_high ^ x.w3 ^ key.k1, even_low};
    key.k0 += 0x9E3779B9u;  // golden ratio
    key.k1 += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return x;
}

PLUMBLINE_HD uint32_t word_of(const PhiloxWords& x, int at) {
  return at == 0 ? x.w0 : at == 1 ? x.w1 : at == 2 ? x.w2 : x.w3;
}

}  // namespace plumbline::core
