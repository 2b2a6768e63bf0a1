// Launches of packed matrices: a block takes a pack or several of one tensor.
#pragma once
#include "cuda/kernels/packed_factored.cuh"
#include "cuda/kernels/packed_full.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

void add_packed(const Group& group, std::vector<KernelLaunch>& launches) {
  // Few packs spread over all multiprocessors, many share what a block does once.
  constexpr int64_t kMostEach = 4, kWaves = 4;
  int64_t packs = 0;
  for (const int i : group.tensors) packs += group.plans[size_t(i)].packs;
  const int64_t at_once = int64_t(group.limits.multiprocessors) * kPackedBlocksPerMultiprocessor;
  const int64_t each = std::clamp<int64_t>(packs / (kWaves * at_once), 1, kMostEach);
  std::vector<int> reversed(group.tensors.rbegin(), group.tensors.rend());
  const auto add = [&](std::span<const int> tensors, const char* name, void (*kernel)(Launch)) {
    launches.push_back(launch_over({group.plans, tensors, group.limits}, name, kernel, kPackedThreads,
                                   sizeof(PackedShared), Average::moment, 0,
                                   [&](const TensorPlan& plan, int) { return core::ceil_div(plan.packs, each); }));
  };
  if (group.front().path == Path::factored) {
    add(group.tensors, "sweep_packed", sweep_packed);
    add(reversed, "apply_packed", apply_packed);
  } else {
    add(group.tensors, "sweep_packed_full", sweep_packed_full);
    add(reversed, "apply_packed_full", apply_packed_full);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
