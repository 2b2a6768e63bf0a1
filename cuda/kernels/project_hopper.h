// The projection by Hopper's warpgroup instructions (compute capability 9.0 alone has them): project.cuh's integers.
#pragma once
#include "cuda/kernels/task.h"

namespace plumbline::gpu {

// Of tiles of kHopperRanks ranks; P lies there as RowEntries have it. Blocks work in pairs, side by side in the grid: a
// tensor has an even number of them.
inline constexpr int kHopperRanks = 256;
struct HopperKernel {
  void (*kernel)(Launch);
  int threads;
  size_t shared;  // bytes
};
HopperKernel hopper_project(Type gradient);
int64_t hopper_project_blocks(const TensorPlan& plan);

}  // namespace plumbline::gpu
