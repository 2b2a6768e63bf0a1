// Kernels of the memory phases. Vectors of 16 bytes hold words 2v and 2v + 1 of the pattern.
#pragma once
#include "cuda/diagnostics/soak_log.h"

namespace plumbline::PLUMBLINE_TARGET {

using diagnostics::Pattern;

constexpr int kMemoryThreads = 512, kBatch = 4;

PLUMBLINE_DEVICE uint64_t low_word(const Bits<16>& v) { return uint64_t(v.word[1]) << 32 | v.word[0]; }
PLUMBLINE_DEVICE uint64_t high_word(const Bits<16>& v) { return uint64_t(v.word[3]) << 32 | v.word[2]; }
PLUMBLINE_DEVICE Bits<16> vector_of(uint64_t low, uint64_t high) {
  return {{uint32_t(low), uint32_t(low >> 32), uint32_t(high), uint32_t(high >> 32)}};
}

PLUMBLINE_KERNEL(kMemoryThreads, 2)
fill_pattern(std::byte* buffer, int64_t vectors, Pattern pattern) {
  const int64_t step = int64_t(grid_size()) * kMemoryThreads;
  for (int64_t v = int64_t(block_index()) * kMemoryThreads + thread_index(); v < vectors; v += step) {
    const auto i = uint64_t(2 * v);
    store_streaming<16>(buffer + 16 * v, vector_of(pattern.word(i), pattern.word(i + 1)));
  }
}

// Compares with `pattern`, adds up, and writes `next` where Rewrite. Cached reads go `times` times over the same
// vectors.
template <bool Rewrite>
PLUMBLINE_KERNEL(kMemoryThreads, 2)
check_pattern(std::byte* buffer, int64_t vectors, Pattern pattern, Pattern next, int times, MiscompareLog* log) {
  const int64_t step = int64_t(grid_size()) * kMemoryThreads;
  uint64_t sum = 0;
  for (int time = 0; time < times; ++time) {
    for (int64_t first = int64_t(block_index()) * kMemoryThreads + thread_index(); first < vectors;
         first += kBatch * step) {
      Bits<16> read[kBatch];
      PLUMBLINE_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const int64_t v = first + b * step;
        if (v >= vectors) continue;
        if constexpr (Rewrite)
          read[b] = load_streaming<16>(buffer + 16 * v);
        else
          read[b] = load<16>(buffer + 16 * v);
      }
      PLUMBLINE_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const int64_t v = first + b * step;
        if (v >= vectors) continue;
        const auto i = uint64_t(2 * v);
        const uint64_t low = low_word(read[b]), high = high_word(read[b]);
        const uint64_t low_known = pattern.word(i), high_known = pattern.word(i + 1);
        sum += low + high;
        if (low != low_known || high != high_known) {
          const auto address = uint64_t(reinterpret_cast<uintptr_t>(buffer + 16 * v));
          if (low != low_known) log_miscompare(log, low_known, low, uint64_t(16 * v), address, multiprocessor());
          if (high != high_known)
            log_miscompare(log, high_known, high, uint64_t(16 * v + 8), address + 8, multiprocessor());
        }
        if constexpr (Rewrite) store_streaming<16>(buffer + 16 * v, vector_of(next.word(i), next.word(i + 1)));
      }
    }
  }
  add_to_log(log, sum);
}

PLUMBLINE_KERNEL(kWarp, 1)
flip_bit(std::byte* byte, int bit) {
  if (thread_index() == 0) *byte = std::byte(uint8_t(*byte) ^ uint8_t(1u << bit));
}

}  // namespace plumbline::PLUMBLINE_TARGET
