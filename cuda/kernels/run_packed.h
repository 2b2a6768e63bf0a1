// Launches of packed matrices: a block takes a pack or several of one tensor.
#pragma once
#include "cuda/kernels/packed_factored.cuh"
#include "cuda/kernels/packed_full.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

// Both passes over `tensors`, the second one in the opposite order. A block takes up to four packs where there are more
// than `waves` times as many as blocks run at once.
inline void add_passes(const Group& group, const std::vector<int>& tensors, int per_multiprocessor, int64_t waves,
                       const std::pair<const char*, void (*)(Launch)>& sweep,
                       const std::pair<const char*, void (*)(Launch)>& apply, std::vector<KernelLaunch>& launches) {
  constexpr int64_t kMostEach = 4;
  if (tensors.empty()) return;
  int64_t packs = 0;
  for (const int i : tensors) packs += group.plans[size_t(i)].packs;
  const int64_t at_once = int64_t(group.limits.multiprocessors) * per_multiprocessor;
  const int64_t each = std::clamp<int64_t>(packs / (waves * at_once), 1, kMostEach);
  const std::vector<int> reversed(tensors.rbegin(), tensors.rend());
  const auto add = [&](const std::vector<int>& order, const auto& kernel) {
    launches.push_back(launch_over({group.plans, order, group.limits}, kernel.first, kernel.second, kPackedThreads, 0,
                                   Average::moment, 0,
                                   [&](const TensorPlan& plan, int) { return core::ceil_div(plan.packs, each); }));
  };
  add(tensors, sweep);
  add(reversed, apply);
}

void add_packed(const Group& group, std::vector<KernelLaunch>& launches) {
  std::vector<int> left(group.tensors.begin(), group.tensors.end());
  if (group.front().path == Path::full)
    return add_passes(group, left, kPackedFullBlocksPerMultiprocessor, 16, {"sweep_packed_full", sweep_packed_full},
                      {"apply_packed_full", apply_packed_full}, launches);
  // 3x3 and 1x1 are most of what convolutions have.
  const auto take = [&]<int Rows, int Cols>() {
    std::vector<int> taken;
    std::erase_if(left, [&](int i) {
      const bool takes = Rows == 0 || has_shape(group.plans[size_t(i)], Rows, Cols);
      if (takes) taken.push_back(i);
      return takes;
    });
    add_passes(group, taken, kPackedBlocksPerMultiprocessor, 4, {"sweep_packed", sweep_packed<Rows, Cols>},
               {"apply_packed", apply_packed<Rows, Cols>}, launches);
  };
  take.template operator()<3, 3>();
  take.template operator()<1, 1>();
  take.template operator()<0, 0>();
}

}  // namespace plumbline::PLUMBLINE_TARGET
