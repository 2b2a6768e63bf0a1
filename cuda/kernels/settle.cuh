// Launches of sums: of squares of parameters, of tiles of finish, and what is added up from panels by one block.
#pragma once
#include "cuda/kernels/finish.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// Before every step where nothing is carried: panel sums of the whole tensor.
inline constexpr int kNormThreads = 256;
PLUMBLINE_KERNEL(kNormThreads, 4)
parameter_norm(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const int warps = kNormThreads / kWarp;
  const int64_t warp = int64_t(task.block) * warps + thread_index() / kWarp, step = int64_t(task.blocks) * warps;
  // The matrices of a batch follow each other, and so do their sums: rows of all of them are dealt out.
  panel_sums_of_any_type(task, 0, 0, plan.slices * plan.rows * plan.panels, warp, step);
}

PLUMBLINE_KERNEL(kFinishThreads, 2)
finish(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(FinishShared, shared);
  const Item item = own_item(launch);
  const TensorPlan& plan = copy_plan(launch, item, plan_shared);
  block_barrier();
  // While the sweep still runs: every block of it has begun, so what lies before it is over.
  finish_tile(task_of(launch, item, plan), shared, [&] {
    if (thread_index() == kFinishThreads - 1) rehearse_end(plan, shared.rehearsed);
    begin_grid();
  });
}

// One block that adds up what is left in panels.
inline constexpr int kSettleThreads = 512;
struct SettleShared {
  TreeScratch tree;
  uint32_t arrived;
};
// T over panels, rows and slices; valid in thread 0.
PLUMBLINE_DEVICE double tensor_sum(const Task& task, int64_t offset, SettleShared& shared) {
  const TensorPlan& plan = task.plan;
  const double* const sums = scratch_at<double>(task, offset);
  const int panel_bits = core::tree_height(plan.panels), bits = core::tree_height(plan.rows) + panel_bits;
  return block_tree_over<8>(
      plan.slices << bits,
      [&](int64_t i) {
        const int64_t at = i & ((int64_t(1) << bits) - 1), row = at >> panel_bits;
        const int64_t panel = at & ((int64_t(1) << panel_bits) - 1);
        const bool in = row < plan.rows && panel < plan.panels;
        return in ? load_fresh(sums + ((i >> bits) * plan.rows + row) * plan.panels + panel) : 0.0;
      },
      shared.tree);
}

// A carried norm stays in panels until the next finish adds them up beside its other work. This does it at once: at the
// end of a step where scratch has no room for so many panels, and for a reader of the state. A block takes a tile of
// rows, the last one the tensor.
PLUMBLINE_HD int64_t settle_blocks(const TensorPlan& plan) { return plan.slices * plan.row_tiles; }
PLUMBLINE_KERNEL(kSettleThreads, 1)
settle_norm(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(SettleShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  uint32_t* const pending = scratch_at<uint32_t>(task, plan.norm_pending);
  if (*pending == 0) return;
  const int64_t slice = task.block / plan.row_tiles;
  finish_norm(task, slice, task.block % plan.row_tiles, NormSource::carried, shared.tree);
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double* const tiles = scratch_at<double>(task, plan.row_tile_sums) + plan.slices * plan.row_tiles;
  const int bits = core::tree_height(plan.row_tiles);
  const double sum = block_tree_over<4>(
      plan.slices << bits,
      [&](int64_t i) {
        const int64_t tile = i & ((int64_t(1) << bits) - 1);
        return tile < plan.row_tiles ? load_fresh(tiles + (i >> bits) * plan.row_tiles + tile) : 0.0;
      },
      shared.tree);
  if (thread_index() != 0) return;
  *done = 0;
  *pending = 0;
  core::carry_norm(*core::at<core::TensorClock>(task.state, plan.clock), sum);
}

// The limiter's norm of momentum of the update, and the step that follows from it.
PLUMBLINE_KERNEL(kSettleThreads, 1)
limit_momentum(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(SettleShared, shared);
  const Task task = open_task(launch, plan_shared);
  core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const double sum = tensor_sum(task, task.plan.momentum_sums, shared);
  if (thread_index() == 0) core::finish_limit(task.plan.hyper, core::sqrt(sum), scalars);
}

}  // namespace plumbline::PLUMBLINE_TARGET
