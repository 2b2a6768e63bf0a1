// Kernels that judge a tensor of results: its hash, and the comparison with tolerance that the hash is measured
// against.
#pragma once
#include "cuda/diagnostics/soak_log.h"

namespace plumbline::PLUMBLINE_TARGET {

using diagnostics::OutputFault;

constexpr int kOutputThreads = 256;

// out[i] = clean[i], but for the fault.
PLUMBLINE_KERNEL(kOutputThreads, 1)
copy_with_fault(const float* clean, const float* before, float* out, int64_t count, OutputFault fault) {
  const int64_t step = int64_t(grid_size()) * kOutputThreads;
  for (int64_t i = int64_t(block_index()) * kOutputThreads + thread_index(); i < count; i += step)
    out[i] = fault.value_of(i, clean[i], before[i]);
}

PLUMBLINE_KERNEL(kOutputThreads, 1)
hash_output(const float* values, int64_t count, MiscompareLog* log) {
  const int64_t step = int64_t(grid_size()) * kOutputThreads;
  uint64_t sum = 0;
  for (int64_t i = int64_t(block_index()) * kOutputThreads + thread_index(); i < count; i += step)
    sum += diagnostics::word_term(uint64_t(i), core::to_bits(values[i]));
  add_to_log(log, sum);
}

// Elements with |a - b| above 1e-3 |b|, or not comparable.
PLUMBLINE_KERNEL(kOutputThreads, 1)
count_outside(const float* a, const float* b, int64_t count, MiscompareLog* log) {
  const int64_t step = int64_t(grid_size()) * kOutputThreads;
  uint64_t outside = 0;
  for (int64_t i = int64_t(block_index()) * kOutputThreads + thread_index(); i < count; i += step)
    outside += diagnostics::outside_tolerance(a[i], b[i]);
  add_to_log(log, outside);
}

}  // namespace plumbline::PLUMBLINE_TARGET
