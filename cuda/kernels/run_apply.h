// Launches of the factored path behind the sweep.
#pragma once
#include "cuda/kernels/apply_momentum.cuh"
#include "cuda/kernels/finish.cuh"
#include "cuda/kernels/run.h"
#include "cuda/kernels/settle.cuh"

namespace plumbline::PLUMBLINE_TARGET {

void add_finish(const Group& group, Average average, int64_t first_slice, std::vector<KernelLaunch>& launches) {
  launches.push_back(
      launch_over(group, "finish", finish, kFinishThreads, 0, average, first_slice, [&](const TensorPlan& plan, int) {
        return chunk_slices(plan, first_slice) * (plan.column_tiles + plan.row_tiles);
      }));
}

void add_parameter_norm(const Group& group, std::vector<KernelLaunch>& launches) {
  constexpr int kWarps = kNormThreads / kWarp, kBlocksPerMultiprocessor = 4;
  launches.push_back(launch_over(
      group, "parameter_norm", parameter_norm, kNormThreads, 0, Average::moment, 0,
      [&](const TensorPlan& plan, int tensor) {
        const double all = double(group.limits.multiprocessors) * kBlocksPerMultiprocessor * group.share(tensor);
        return std::clamp<int64_t>(int64_t(all), 1, core::ceil_div(plan.slices * plan.rows * plan.panels, kWarps));
      }));
}

KernelLaunch settle_launch(const Group& group) {
  return launch_over(group, "settle_norm", settle_norm, kSettleThreads, 0, Average::moment, 0,
                     [](const TensorPlan& plan, int) { return plan.path == Path::full ? 0 : settle_blocks(plan); });
}

void add_limit(const Group& group, std::vector<KernelLaunch>& launches) {
  launches.push_back(launch_over(group, "limit_momentum", limit_momentum, kSettleThreads, 0, Average::confidence, 0,
                                 [](const TensorPlan&, int) { return 1; }));
}

void add_apply(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& first = group.front();
  // Blocks that walk over the rows of a panel: together they fill every multiprocessor once.
  const auto blocks = [&](const TensorPlan& plan, int tensor) {
    const int commits = commit_blocks_of(plan);
    const double all = double(group.limits.multiprocessors) * kApplyBlocksPerMultiprocessor * group.share(tensor);
    const int64_t others = int64_t(all) - std::min(commits, kFewCommitBlocks);
    return commits + plan.panels * std::clamp<int64_t>(others / plan.panels, 1,
                                                       plan.slices * plan.strips * (plan.strip_rows / 2));
  };
  const auto add = [&](const char* name, void (*kernel)(Launch)) {
    launches.push_back(launch_over(group, name, kernel, kApplyThreads, 0, Average::moment, 0, blocks));
  };
  core::with_type(first.parameter, [&]<class P>(P) {
    if (first.hyper.momentum) return add("apply_momentum", apply_momentum<P>);
    core::with_type(first.gradient, [&]<class G>(G) { add("apply_update", apply_update<G, P>); });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
