// The arithmetic of a soak: a chain of operations of every pipe, on numbers that it makes from its own results, so that
// one wrong result changes all that follows. A result is taken into the hash by its bits, by xor, sum, rotation and odd
// multiple: a wrong one always shows, none is lost to rounding (that two hashes then become one by chance: 2^-32).
// kResident words wait in registers in between.
#pragma once
#include "cuda/core/ops.h"
#include "cuda/diagnostics/exact.h"
#include "cuda/diagnostics/mix.h"

namespace plumbline::diagnostics {

inline constexpr int kChainThreads = 256;  // different chains; blocks repeat them
inline constexpr int kResident = 32;       // words of a thread, and steps of an iteration

// One deliberate fault: what becomes of the float32 product of one step of one thread.
struct ChainFault {
  enum class Kind : uint8_t { none, flip, relative, stuck, dropped_block };
  Kind kind = Kind::none;
  int block = 0, thread = 0, iteration = 0, step = 0;
  int amount = 0;  // flip: the bit; relative: k of a factor 1 + 2^-k
  PLUMBLINE_HD float apply(float x) const {
    if (kind == Kind::flip) return core::from_bits(core::to_bits(x) ^ (1u << amount));
    if (kind == Kind::relative) return x * (1.0f + core::from_bits(uint32_t(127 - amount) << 23));
    return kind == Kind::stuck ? 1.5f : x;
  }
};

// Results of operations that a thread's checksum takes in: three of float32 a step; of every eight steps, four of
// float64, two slow ones and two wide products.
constexpr uint64_t chain_results(int iterations) { return uint64_t(iterations) * (kResident * 3 + kResident / 8 * 8); }

PLUMBLINE_HD uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }
// In [1, 2), from the upper bits.
PLUMBLINE_HD float unit_float(uint32_t x) { return core::from_bits(0x3f800000u | x >> 9); }
PLUMBLINE_HD double unit_double(uint32_t high, uint32_t low) {
  return core::from_bits64(uint64_t(0x3ff00000u | high >> 12) << 32 | low);
}

// What one step makes of the running hash and the word that waited; `faulty` is taken where Inject and `hit`.
template <bool Inject>
PLUMBLINE_HD uint32_t chain_step(uint32_t hash, uint32_t waited, int step, bool hit, const ChainFault& fault) {
  constexpr uint32_t kOdd = 0x9e3779b1u, kOther = 0x85ebca77u;
  uint32_t h = (hash ^ waited) * kOdd;
  const float x = unit_float(h), y = unit_float(h * kOther + uint32_t(step));
  float product = x * y;
  if constexpr (Inject) {
    if (hit) product = fault.apply(product);
  }
  const float fused = core::fma(x, y, -product), sum = fused + y;
  h = (h ^ core::to_bits(product)) * kOdd + core::to_bits(fused);
  h = (h ^ rotate(core::to_bits(sum), 11)) * kOther;
  if (step % 4 == 1) {  // float64
    const double a = unit_double(h, waited), b = unit_double(hash, h), c = core::fma(a, b, -a);
    const uint64_t bits = to_bits64(c), square = to_bits64(c * b);
    h = (h ^ uint32_t(bits)) * kOdd + uint32_t(bits >> 32);
    h = (h ^ uint32_t(square)) * kOther + uint32_t(square >> 32);
  }
  if (step % 8 == 3) {  // the slow ones
    h = (h ^ core::to_bits(x / y)) * kOdd + core::to_bits(core::sqrt(y));
  }
  if (step % 4 == 2) {  // wide integer product, shifts
    const uint64_t wide = uint64_t(h) * (waited | 1u);
    h = (uint32_t(wide) ^ rotate(h, 7)) + rotate(uint32_t(wide >> 32), 1);
  }
  return h;
}

// The checksum of one thread.
template <bool Inject>
PLUMBLINE_HD uint64_t run_chain(uint32_t seed, int thread, int iterations, bool mine, const ChainFault& fault) {
  uint32_t resident[kResident];
  uint32_t hash = mix32(seed + uint32_t(thread) * 0x9e3779b9u);
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
  for (int k = 0; k < kResident; ++k) resident[k] = mix32(hash + uint32_t(k));
#ifdef __CUDA_ARCH__
#pragma unroll 1
#endif
  for (int i = 0; i < iterations; ++i) {
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
    for (int k = 0; k < kResident; ++k) {
      hash = chain_step<Inject>(hash, resident[k], k, Inject && mine && i == fault.iteration && k == fault.step, fault);
      resident[k] = resident[k] * 0xc2b2ae35u + hash;
    }
  }
  uint64_t sum = hash;
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
  for (int k = 0; k < kResident; ++k) sum = mix64(sum ^ uint64_t(resident[k]) << 32 ^ uint64_t(k));
  return sum;
}

}  // namespace plumbline::diagnostics
