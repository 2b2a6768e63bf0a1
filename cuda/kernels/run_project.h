// Launches of the projected path.
#pragma once
#include "cuda/kernels/low_rank_rows.cuh"
#include "cuda/kernels/run.h"
// Builds with faults keep to the kernel that has them.
#if defined(PLUMBLINE_HOPPER) && !defined(PLUMBLINE_MUTANTS)
#define PLUMBLINE_PROJECT_HOPPER
#include "cuda/kernels/project_hopper.h"
#endif

namespace plumbline::PLUMBLINE_TARGET {

// Whether Hopper's products take the group.
inline bool projects_by_warpgroups([[maybe_unused]] const Group& group) {
#ifdef PLUMBLINE_PROJECT_HOPPER
  return group.limits.warpgroups && core::projection_ranks(group.front().rank) == kHopperRanks;
#else
  return false;
#endif
}

template <class G>
KernelLaunch project_launch(const Group& group) {
#ifdef PLUMBLINE_PROJECT_HOPPER
  if (projects_by_warpgroups(group)) {
    const HopperKernel hopper = hopper_project(group.front().gradient);
    return launch_over(group, "project", hopper.kernel, hopper.threads, hopper.shared, Average::moment, 0,
                       [](const TensorPlan& plan, int) { return hopper_project_blocks(plan); });
  }
#endif
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

// Launches over the tensors of a group that are of a class, where there are any.
class SomeLaunches {
 public:
  SomeLaunches(const Group& group, std::vector<KernelLaunch>& launches) : group_(group), launches_(launches) {}
  template <class Takes, class Blocks>
  void add(const char* name, void (*kernel)(Launch), int threads, const Takes& takes, const Blocks& blocks) const {
    KernelLaunch launch = launch_over(
        group_, name, kernel, threads, 0, Average::moment, 0,
        [&](const TensorPlan& plan, int tensor) -> int64_t { return takes(plan) ? int64_t(blocks(plan, tensor)) : 0; });
    if (launch.blocks > 0) launches_.push_back(std::move(launch));
  }

 private:
  const Group& group_;
  std::vector<KernelLaunch>& launches_;
};

// Moments of G_low, and the scales.
void add_low_rank(const Group& group, std::vector<KernelLaunch>& launches) {
  const core::Hyper& h = group.front().hyper;
  const SomeLaunches some(group, launches);
  const auto by_rows = [](const TensorPlan& plan) { return takes_low_rows(plan); };
  const auto others = [](const TensorPlan& plan) { return !takes_low_rows(plan); };
  if (h.momentum) {
    some.add("low_rank_momentum", low_rank_momentum, kRowThreads, others, [&](const TensorPlan& plan, int tensor) {
      return shared_blocks(group, tensor, kRowBlocksPerMultiprocessor,
                           plan.low_rows * core::ceil_div(plan.low_cols, kUnit), kRowThreads / kWarp);
    });
  }
  const auto of_elements = [&](const TensorPlan& plan, int tensor) {
    const int64_t tiles = core::ceil_div(int64_t(plan.low_rows) * plan.low_cols, core::kFlatTile);
    return shared_blocks(group, tensor, kLowBlocksPerMultiprocessor,
                         tiles + (h.projection_factored ? low_commit_tiles(plan) : 0), 1);
  };
  if (h.projection_factored) {
    some.add("low_rank_averages", low_rank_averages, kLowThreads, others, [&](const TensorPlan& plan, int tensor) {
      return low_column_tiles(plan) +
             shared_blocks(group, tensor, kLowBlocksPerMultiprocessor, plan.low_rows, kLowThreads / kWarp);
    });
    some.add("low_rank_normalize", low_rank_normalize, kLowThreads, others, of_elements);
  } else {
    some.add("low_rank_moment", low_rank_moment, kLowThreads, others, of_elements);
  }
  some.add("scale_channels", scale_channels, kScaleThreads, others,
           [](const TensorPlan& plan, int) { return scale_tiles(plan) + plan.row_tiles; });
  some.add("low_rank_rows", low_rank_rows, kLowThreads, by_rows, [&](const TensorPlan& plan, int tensor) {
    return plan.row_tiles + shared_blocks(group, tensor, kLowBlocksPerMultiprocessor, low_row_tiles(plan), 1);
  });
}

void add_projected(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& first = group.front();
  core::with_type(first.gradient, [&]<class G>(G) {
    const auto squares =
        projects_by_warpgroups(group) ? channel_squares<G, RowEntries> : channel_squares<G, LaneEntries>;
    launches.push_back(launch_over(
        group, "channel_squares", squares, kChannelThreads, 0, Average::moment, 0,
        [&](const TensorPlan& plan, int tensor) {
          const int64_t entries = entry_blocks(plan);
          if (!plan.reduces_columns) return int64_t(plan.strips) * plan.panels + entries;
          const int64_t all = shared_blocks(group, tensor, kChannelBlocksPerMultiprocessor,
                                            int64_t(plan.rows) * plan.panels, kChannelThreads / kWarp);
          return std::max(all - entries, core::ceil_div(all, 2)) + entries;  // all of them at once, if need be for less
        }));
    launches.push_back(project_launch<G>(group));
  });
  add_low_rank(group, launches);
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
