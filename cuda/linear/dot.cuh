// Up to sixteen tokens times the dequantized weight: a warp takes two outputs and reads the weight once.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/linear/weight.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kDotThreads = 128;
inline constexpr int kDotOutputs = 2;  // of a warp
static_assert(kWarp == linear::kLanes);

// Tokens: how many sums a lane carries, at least as many as there are tokens.
template <class T, int Tokens>
PLUMBLINE_KERNEL(kDotThreads, 1)
dot_rows(linear::DotTask task) {
  const int lane = thread_index() % kWarp;
  const int64_t inputs = task.weight.inputs, outputs = task.weight.outputs;
  const int64_t warp = int64_t(block_index()) * (block_size() / kWarp) + thread_index() / kWarp;
  const int64_t first = warp * kDotOutputs, groups = core::ceil_div(inputs, linear::kGroup);
  if (first >= outputs) return;  // a whole warp
  const auto* x = static_cast<const T*>(task.x);
  const bool whole = inputs % linear::kGroup == 0;
  float sum[kDotOutputs][Tokens] = {};
  for (int64_t g = lane; g < groups; g += kWarp) {
    Group w[kDotOutputs];
    PLUMBLINE_UNROLL
    for (int o = 0; o < kDotOutputs; ++o)
      if (first + o < outputs) w[o] = load_weight(task.weight, first + o, g);
    PLUMBLINE_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      if (t >= task.tokens) break;
      const Group v = load_row(x + t * inputs, inputs, g, whole);
      PLUMBLINE_UNROLL
      for (int o = 0; o < kDotOutputs; ++o) {
        if (first + o >= outputs) break;
        PLUMBLINE_UNROLL
        for (int i = 0; i < linear::kGroup; ++i) sum[o][t] = core::fma(v.x[i], w[o].x[i], sum[o][t]);
      }
    }
  }
  PLUMBLINE_UNROLL
  for (int o = 0; o < kDotOutputs; ++o) {
    PLUMBLINE_UNROLL
    for (int t = 0; t < Tokens; ++t) {
      if (t >= task.tokens) break;  // the same for every lane
      float total = sum[o][t];
      PLUMBLINE_UNROLL
      for (int distance = 1; distance < kWarp; distance *= 2) total = total + shuffle_xor(total, distance);
      if (lane == 0 && first + o < outputs)
        core::narrow(total + task.bias[first + o], static_cast<T*>(task.y)[t * outputs + first + o]);
    }
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
