// One function over many arguments on a device: element i of the result is work(i).
#pragma once
#include "cuda/device.h"
//
#include "cuda/diagnostics/codec_points.h"
#include "cuda/diagnostics/values_work.h"

namespace plumbline::PLUMBLINE_TARGET {

constexpr int kValueThreads = 256;

template <class Work>
PLUMBLINE_KERNEL(kValueThreads, 1)
evaluate_all(Work work, int64_t count, uint64_t* out) {
  const int64_t stride = int64_t(grid_size()) * kValueThreads;
  for (int64_t i = int64_t(block_index()) * kValueThreads + thread_index(); i < count; i += stride) out[i] = work(i);
}

}  // namespace plumbline::PLUMBLINE_TARGET
