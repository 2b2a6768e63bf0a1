// Launches of the factored path behind the sweep.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/finish.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

void run_finish(const Runtime& runtime, const Task& task, int64_t slices, Stream stream) {
  const int64_t grid = slices * (task.plan.column_tiles + task.plan.row_tiles);
  PLUMBLINE_LAUNCH(runtime, finish, grid, kFinishThreads, 0, stream, task);
}

void run_parameter_norm(const Runtime& runtime, const Task& task, Stream stream) {
  constexpr int kWarps = kNormThreads / kWarp, kBlocksPerMultiprocessor = 4;
  const int64_t items = task.plan.slices * task.plan.rows * task.plan.panels;
  const int64_t grid = looping_blocks(runtime.limits(), kBlocksPerMultiprocessor, core::ceil_div(items, kWarps));
  PLUMBLINE_LAUNCH(runtime, parameter_norm, grid, kNormThreads, 0, stream, task);
}

void run_settle_norm(const Runtime& runtime, const Task& task, Stream stream) {
  PLUMBLINE_LAUNCH(runtime, settle_norm, 1, kSettleThreads, 0, stream, task);
}

void run_apply(const Runtime& runtime, const Task& task, Stream stream) {
  const TensorPlan& plan = task.plan;
  const int64_t tiles = plan.slices * (core::ceil_div(plan.rows, kCommitTile) + core::ceil_div(plan.cols, kCommitTile));
  const ApplyShape shape = {int32_t(commit_blocks(tiles))};
  const int64_t walking = walkers(runtime.limits(), kApplyBlocksPerMultiprocessor, shape.commit_blocks, plan.panels,
                                  plan.slices * plan.strips * (plan.strip_rows / 2));
  const int64_t grid = shape.commit_blocks + walking * plan.panels;
  with_type(plan.gradient, [&]<class G>(G) {
    with_type(plan.parameter, [&]<class P>(P) {
      runtime.launch("apply_update", apply_update<G, P>, grid, kApplyThreads, 0, stream, task, shape);
    });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
