// Sums of squares of parameters, in panels of kPanel columns: T over columns within a row, double.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/task.h"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// sum of p^2 over one panel of one row, by a warp.
template <class P>
PLUMBLINE_DEVICE double panel_sum(const P* row, int cols, int panel) {
  constexpr int E = kVector<P>, kVectors = core::kPanel / (kWarp * E);
  const int lane = thread_index() % kWarp, first = panel * core::kPanel + lane * E;
  Packed<P, E> p[kVectors];
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int col = first + v * kWarp * E;
    p[v] = load_elements<P, E>(row + col, cols - col, cols % E == 0);
  }
  double sums[kVectors];
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const auto x = unpack<P, E>(p[v]);
    double s[E];
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; ++e) s[e] = core::norm_square(core::widen(x.x[e]));
    sums[v] = thread_tree(s);
  }
  if (cols - panel * core::kPanel <= kWarp * E) return warp_tree(sums[0]);
  return tree_over_numbers<kVectors>(warp_trees(sums, lane));
}

// Of a slice's rows x panels, those of [first, end): the warp that is number `warp` of `warps` takes its share.
template <class P>
PLUMBLINE_DEVICE void panel_sums(const Task& task, int64_t slice, int64_t first, int64_t end, int64_t warp,
                                 int64_t warps) {
  const TensorPlan& plan = task.plan;
  const P* const parameter = static_cast<const P*>(task.parameter) + slice * plan.slice;
  const int64_t count = int64_t(plan.rows) * plan.panels;
  double* const sums = scratch_at<double>(task, plan.parameter_sums) + slice * count;
  for (int64_t i = first + warp; i < end; i += warps) {
    const double sum = panel_sum(parameter + i / plan.panels * plan.cols, plan.cols, int(i % plan.panels));
    if (thread_index() % kWarp == 0) sums[i] = sum;
  }
}
PLUMBLINE_DEVICE void panel_sums_of_any_type(const Task& task, int64_t slice, int64_t first, int64_t end, int64_t warp,
                                             int64_t warps) {
  switch (task.plan.parameter) {
    case Type::float32:
      return panel_sums<float>(task, slice, first, end, warp, warps);
    case Type::bfloat16:
      return panel_sums<core::bf16>(task, slice, first, end, warp, warps);
    case Type::float16:
      return panel_sums<core::f16>(task, slice, first, end, warp, warps);
  }
}

// Panel sums at an offset of scratch as T has them: rows of `panels`, padded to a power of two; the caller picks
// slices and rows.
struct PanelTree {
  const double* sums;  // of the first row
  int64_t rows;
  int panels, bits;
  PLUMBLINE_DEVICE PanelTree(const Task& task, int64_t offset, int64_t slice, int first_row, int row_count)
      : sums(scratch_at<double>(task, offset) + (slice * task.plan.rows + first_row) * task.plan.panels),
        rows(row_count),
        panels(task.plan.panels),
        bits(core::tree_height(panels)) {}
  // T over them all, valid in thread 0.
  PLUMBLINE_DEVICE double sum(TreeScratch& shared) const {
    return block_tree_over<8>(
        rows << bits,
        [&](int64_t i) {
          const int64_t row = i >> bits, panel = i & ((int64_t(1) << bits) - 1);
          return panel < panels ? load_fresh(sums + row * panels + panel) : 0.0;
        },
        shared);
  }
};

// Before every step where nothing is carried: panel sums of the whole tensor.
inline constexpr int kNormThreads = 256;
PLUMBLINE_KERNEL(kNormThreads, 4)
parameter_norm(const Launch launch) {
  begin_grid();
  const Task task = task_of(launch);
  const TensorPlan& plan = task.plan;
  const int warps = kNormThreads / kWarp;
  const int64_t count = int64_t(plan.rows) * plan.panels, step = int64_t(task.blocks) * warps;
  const int64_t warp = int64_t(task.block) * warps + thread_index() / kWarp;
  for (int64_t slice = 0; slice < plan.slices; ++slice) {
    // carry the round robin over slices, so that small ones spread over all warps too
    const int64_t start = (warp + step - slice * count % step) % step;
    panel_sums_of_any_type(task, slice, 0, count, start, step);
  }
}

// One block that adds up what is left in panels.
inline constexpr int kSettleThreads = 512;
struct SettleShared {
  TreeScratch tree;
  double level[48];
};
// T over panels, rows and slices; valid in thread 0.
PLUMBLINE_DEVICE double tensor_sum(const Task& task, int64_t offset, SettleShared& shared) {
  const TensorPlan& plan = task.plan;
  for (int64_t slice = 0; slice < plan.slices; ++slice) {
    const double sum = PanelTree(task, offset, slice, 0, plan.rows).sum(shared.tree);
    if (thread_index() == 0) push_level(shared.level, slice, sum);
  }
  return thread_index() == 0 ? fold_levels(shared.level, plan.slices) : 0.0;
}

// A carried norm stays in panels until the next finish adds them up beside its other work. This does it at once, for a
// reader of the state.
PLUMBLINE_KERNEL(kSettleThreads, 1)
settle_norm(const Launch launch) {
  PLUMBLINE_SHARED(SettleShared, shared);
  begin_grid();
  const Task task = task_of(launch);
  uint32_t* const pending = scratch_at<uint32_t>(task, task.plan.norm_pending);
  if (*pending == 0) return;
  const double sum = tensor_sum(task, task.plan.parameter_sums, shared);
  if (thread_index() != 0) return;
  core::at<core::TensorClock>(task.state, task.plan.clock)->parameter_sum = sum;
  *pending = 0;
}

// The limiter's norm of momentum of the update, and the step that follows from it.
PLUMBLINE_KERNEL(kSettleThreads, 1)
limit_momentum(const Launch launch) {
  PLUMBLINE_SHARED(SettleShared, shared);
  begin_grid();
  const Task task = task_of(launch);
  core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const double sum = tensor_sum(task, task.plan.momentum_sums, shared);
  if (thread_index() == 0) core::finish_limit(task.plan.hyper, core::sqrt(sum), scalars);
}

}  // namespace plumbline::PLUMBLINE_TARGET
