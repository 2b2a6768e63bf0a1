// Launches of the sweep in two passes.
#pragma once
#include "cuda/kernels/columns.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

template <class G>
KernelLaunch rows_launch(const Group& group, Average average, int64_t first_slice) {
  return launch_over(group, "sweep_rows", sweep_rows<G>, kRowThreads, 0, average, first_slice,
                     [&](const TensorPlan& plan, int tensor) {
                       return shared_blocks(group, tensor, kRowBlocksPerMultiprocessor,
                                            plan.slices * plan.rows * units_of(plan), kRowThreads / kWarp);
                     });
}

void add_row_sweep(const Group& group, Average average, int64_t first_slice, std::vector<KernelLaunch>& launches) {
  const core::Hyper& h = group.front().hyper;
  core::with_type(group.front().gradient, [&]<class G>(G) {
    launches.push_back(rows_launch<G>(group, average, first_slice));
    if (average == Average::confidence && !h.has_confidence) return;
    launches.push_back(launch_over(
        group, "sweep_columns", sweep_columns<G>, kColumnThreads, 0, average, first_slice,
        [&](const TensorPlan& plan, int) { return chunk_slices(plan, first_slice) * plan.strips * plan.panels; }));
  });
}

void add_confidence_sweep(const Group& group, int64_t first_slice, std::vector<KernelLaunch>& launches) {
  add_row_sweep(group, Average::confidence, first_slice, launches);
}

void add_count(const Group& group, std::vector<KernelLaunch>& launches) {
  core::with_type(group.front().gradient, [&]<class G>(G) {
    launches.push_back(launch_over(group, "count_nonfinite", count_nonfinite<G>, kRowThreads, 0, Average::moment, 0,
                                   [&](const TensorPlan& plan, int tensor) {
                                     return shared_blocks(group, tensor, kRowBlocksPerMultiprocessor, plan.size,
                                                          kRowThreads * kMomentumEach);
                                   }));
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
