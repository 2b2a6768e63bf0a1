// The scan of one function: every thread takes inputs in turn; the block adds up.
#pragma once
#include "cuda/device.h"
//
#include "cuda/diagnostics/scan_step.h"

namespace plumbline::PLUMBLINE_TARGET {

constexpr int kScanThreads = 256;

template <diagnostics::Function F>
PLUMBLINE_KERNEL(kScanThreads, 4)
scan(uint64_t inputs, int shift, float divisor, diagnostics::ScanPartial* partials) {
  constexpr int kWarps = kScanThreads / kWarp;
  struct Shared {
    uint32_t histogram[diagnostics::kUlpBuckets];  // a block visits fewer than 2^32 inputs
    uint64_t key[kWarps], worst_bits[kWarps], sums[kWarps][3];
  };
  PLUMBLINE_SHARED(Shared, shared);
  const int thread = thread_index(), lane = thread % kWarp, warp = thread / kWarp;
  if (thread < diagnostics::kUlpBuckets) shared.histogram[thread] = 0;
  block_barrier();

  diagnostics::ScanPartial mine;
  mine.key = mine.worst_bits = mine.checksum = mine.outside = mine.not_nearest = 0;
  const uint64_t stride = uint64_t(grid_size()) * kScanThreads;
  for (uint64_t i = uint64_t(block_index()) * kScanThreads + uint64_t(thread); i < inputs; i += stride) {
    const auto v = diagnostics::visit<F>(diagnostics::scan_input(uint32_t(i), shift), divisor);
    add(mine, v);
    if (v.in_domain) atomic_add(&shared.histogram[v.bucket], 1u);
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint64_t key = shuffle_xor(mine.key, distance), bits = shuffle_xor(mine.worst_bits, distance);
    mine.worst_bits = key > mine.key ? bits : mine.worst_bits;
    mine.key = key > mine.key ? key : mine.key;
    mine.checksum += shuffle_xor(mine.checksum, distance);
    mine.outside += shuffle_xor(mine.outside, distance);
    mine.not_nearest += shuffle_xor(mine.not_nearest, distance);
  }
  if (lane == 0) {
    shared.key[warp] = mine.key;
    shared.worst_bits[warp] = mine.worst_bits;
    shared.sums[warp][0] = mine.checksum;
    shared.sums[warp][1] = mine.outside;
    shared.sums[warp][2] = mine.not_nearest;
  }
  block_barrier();
  diagnostics::ScanPartial& out = partials[block_index()];
  if (thread < diagnostics::kUlpBuckets) out.histogram[thread] = shared.histogram[thread];
  if (thread != 0) return;
  for (int w = 1; w < kWarps; ++w) {
    if (shared.key[w] > mine.key) {
      mine.key = shared.key[w];
      mine.worst_bits = shared.worst_bits[w];
    }
    mine.checksum += shared.sums[w][0];
    mine.outside += shared.sums[w][1];
    mine.not_nearest += shared.sums[w][2];
  }
  out.key = mine.key;
  out.worst_bits = mine.worst_bits;
  out.checksum = mine.checksum;
  out.outside = mine.outside;
  out.not_nearest = mine.not_nearest;
}

}  // namespace plumbline::PLUMBLINE_TARGET
