// Launches of the projected path.
#pragma once
#include "cuda/kernels/channels.cuh"
#include "cuda/kernels/low_rank.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

template <class G>
KernelLaunch project_launch(const Group& group) {
  const auto with_form = [&]<class Form>(Form) {
    return launch_over(group, "project", project<G, Form>, kProjectThreads, Form::kBytes, Average::moment, 0,
                       [](const TensorPlan& plan, int) {
                         return core::ceil_div(plan.channels, Form::kChannels) *
                                core::ceil_div(plan.rank, Form::kRanks);
                       });
  };
  switch (core::projection_ranks(group.front().rank)) {
    case NarrowProject::kRanks:
      return with_form(NarrowProject{});
    case MiddleProject::kRanks:
      return with_form(MiddleProject{});
    case LargeProject::kRanks:
      return with_form(LargeProject{});
    default:
      return with_form(WideProject{});
  }
}

void add_low_rank(const Group& group, std::vector<KernelLaunch>& launches) {
  const core::Hyper& h = group.front().hyper;
  const auto add = [&](const char* name, void (*kernel)(Launch), int threads, const auto& blocks) {
    launches.push_back(launch_over(group, name, kernel, threads, 0, Average::moment, 0, blocks));
  };
  if (h.momentum) {
    add("low_rank_momentum", low_rank_momentum, kRowThreads, [&](const TensorPlan& plan, int tensor) {
      return shared_blocks(group, tensor, kRowBlocksPerMultiprocessor,
                           plan.low_rows * core::ceil_div(plan.low_cols, kUnit), kRowThreads / kWarp);
    });
  }
  const auto of_elements = [&](const TensorPlan& plan, int tensor) {
    const int64_t tiles = core::ceil_div(int64_t(plan.low_rows) * plan.low_cols, core::kFlatTile);
    return shared_blocks(group, tensor, kLowBlocksPerMultiprocessor,
                         tiles + (h.projection_factored ? low_commit_tiles(plan) : 0), 1);
  };
  if (!h.projection_factored) return add("low_rank_moment", low_rank_moment, kLowThreads, of_elements);
  add("low_rank_averages", low_rank_averages, kLowThreads, [&](const TensorPlan& plan, int tensor) {
    return low_column_tiles(plan) +
           shared_blocks(group, tensor, kLowBlocksPerMultiprocessor, plan.low_rows, kLowThreads / kWarp);
  });
  add("low_rank_normalize", low_rank_normalize, kLowThreads, of_elements);
}

void add_projected(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& first = group.front();
  core::with_type(first.gradient, [&]<class G>(G) {
    launches.push_back(launch_over(group, "channel_squares", channel_squares<G>, kChannelThreads, 0, Average::moment, 0,
                                   [&](const TensorPlan& plan, int tensor) {
                                     if (!plan.reduces_columns)
                                       return int64_t(plan.strips) * plan.panels + entry_blocks(plan);
                                     return shared_blocks(group, tensor, kChannelBlocksPerMultiprocessor,
                                                          int64_t(plan.rows) * plan.panels, kChannelThreads / kWarp) +
                                            entry_blocks(plan);
                                   }));
    launches.push_back(project_launch<G>(group));
  });
  add_low_rank(group, launches);
  launches.push_back(launch_over(group, "scale_channels", scale_channels, kScaleThreads, 0, Average::moment, 0,
                                 [](const TensorPlan& plan, int) { return scale_tiles(plan) + plan.row_tiles; }));
  core::with_type(first.gradient, [&]<class G>(G) {
    core::with_type(first.parameter, [&]<class P>(P) {
      launches.push_back(launch_over(group, "apply_channels", apply_channels<G, P>, kApplyThreads, 0, Average::moment,
                                     0, [&](const TensorPlan& plan, int tensor) {
                                       const double all = double(group.limits.multiprocessors) *
                                                          kApplyBlocksPerMultiprocessor * group.share(tensor);
                                       return 1 + plan.panels *
                                                      std::clamp<int64_t>((int64_t(all) - 1) / plan.panels, 1,
                                                                          int64_t(plan.strips) * (plan.strip_rows / 2));
                                     }));
    });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
