// Launches of the full path.
#pragma once
#include "cuda/kernels/full_small.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

// Tensors that one block steps, of up to 2, 4, 6 or 8 tiles, where shared memory has room for as many blocks as
// registers have. Takes them out of `left`.
template <class G, class P>
void add_small(const Group& group, std::vector<int>& left, std::vector<KernelLaunch>& launches) {
  for (int threads = kFullThreads, tiles = kSmallEach; tiles <= kSmallTiles;
       threads += kFullThreads, tiles += kSmallEach) {
    const size_t bytes = size_t(threads) * SmallParameters<P>::kBytes;
    const size_t each = bytes + sizeof(PlanShared) + sizeof(SmallShared);
    if (size_t(kSmallThreads / threads) * each > group.limits.shared_per_block) continue;
    std::vector<int> taken;
    std::erase_if(left, [&](int tensor) {
      const TensorPlan& plan = group.plans[size_t(tensor)];
      const bool takes = is_small(plan) && full_tiles(plan) <= tiles;
      if (takes) taken.push_back(tensor);
      return takes;
    });
    if (taken.empty()) continue;
    launches.push_back(launch_over({group.plans, taken, group.limits}, "step_small", step_small<G, P>, threads, bytes,
                                   Average::moment, 0, [](const TensorPlan&, int) { return 1; }));
  }
}

void add_full(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& first = group.front();
  core::with_type(first.gradient, [&]<class G>(G) {
    core::with_type(first.parameter, [&]<class P>(P) {
      std::vector<int> left(group.tensors.begin(), group.tensors.end());
      add_small<G, P>(group, left, launches);
      if (left.empty()) return;
      const Group rest = {group.plans, left, group.limits};
      const auto blocks = [&](const TensorPlan& plan, int tensor) {
        const double all = double(group.limits.multiprocessors) * kFullBlocksPerMultiprocessor * rest.share(tensor);
        return std::clamp<int64_t>(int64_t(all), 1, full_tiles(plan));
      };
      const auto add = [&](const char* name, void (*kernel)(Launch), Average average) {
        launches.push_back(launch_over(rest, name, kernel, kFullThreads, 0, average, 0, blocks));
      };
      add("sweep_full", sweep_full<G>, Average::moment);
      if (core::limits_later(first.hyper)) add("sweep_full", sweep_full<G>, Average::confidence);
      add("apply_full", apply_full<G, P>, Average::moment);
    });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
