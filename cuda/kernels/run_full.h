// Launches of the full path.
#pragma once
#include "cuda/kernels/full_passes.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

void add_full(const Group& group, std::vector<KernelLaunch>& launches) {
  const auto blocks = [&](const TensorPlan& plan, int tensor) {
    const double all = double(group.limits.multiprocessors) * kFullBlocksPerMultiprocessor * group.share(tensor);
    return std::clamp<int64_t>(int64_t(all), 1, plan.slices * plan.flat_tiles);
  };
  const auto add = [&](const char* name, void (*kernel)(Launch), Average average) {
    launches.push_back(launch_over(group, name, kernel, kFullThreads, 0, average, 0, blocks));
  };
  const TensorPlan& first = group.front();
  core::with_type(first.gradient, [&]<class G>(G) {
    add("sweep_full", sweep_full<G>, Average::moment);
    if (core::limits_later(first.hyper)) add("sweep_full", sweep_full<G>, Average::confidence);
    core::with_type(first.parameter, [&]<class P>(P) { add("apply_full", apply_full<G, P>, Average::moment); });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
