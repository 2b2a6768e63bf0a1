// A chain of 8-bit integer matrix products: fragments from a hash, products into the hash.
#pragma once
#include "cuda/diagnostics/chain.h"

namespace plumbline::diagnostics {

inline constexpr int kWarpLanes = 32;

struct TensorFragments {
  uint32_t a[4], b[2];  // four 8-bit integers each
};
PLUMBLINE_HD uint32_t tensor_start(uint32_t seed, int lane) { return mix32(seed ^ uint32_t(lane) * 0x9e3779b9u); }
PLUMBLINE_HD TensorFragments tensor_fragments(uint32_t hash) {
  constexpr uint32_t kOdd = 0x9e3779b1u;
  TensorFragments f;
  uint32_t x = hash;
  for (uint32_t& word : f.a) {
    x = x * kOdd + 0x7f4a7c15u;
    word = x ^ x >> 15;
  }
  for (uint32_t& word : f.b) {
    x = x * kOdd + 0x7f4a7c15u;
    word = x ^ x >> 15;
  }
  return f;
}
PLUMBLINE_HD uint32_t tensor_absorb(uint32_t hash, const int32_t (&d)[4]) {
  constexpr uint32_t kOdd = 0x9e3779b1u;
  uint32_t h = hash;
  for (const int32_t x : d) h = (h ^ uint32_t(x)) * kOdd + 1u;
  return h ^ h >> 16;
}

}  // namespace plumbline::diagnostics
