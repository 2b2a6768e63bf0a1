// Sums of squares of parameters, in panels of kPanel columns: T over columns within a row, double.
#pragma once
#include "cuda/kernels/policy.h"
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
    float x[E];
    widen_all<P>(p[v], x);
    sums[v] = norm_tree(x);
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

// Sums over the kNormRows rows of a group, of a tensor that is stepped by tickets: from panel sums in shared memory.
inline constexpr int kMaxPanels = kWidestColumns / core::kPanel;
struct GroupNorm {
  double panel[core::kNormRows][kMaxPanels];
};
// By one warp, that may have written the panel sums; those behind a barrier may be other threads'.
PLUMBLINE_DEVICE void write_group_sum(const GroupNorm& shared, int rows, int panels, double* to) {
  static_assert(core::kNormRows == kWarp);
  const int lane = thread_index() % kWarp;
  warp_barrier();
  double x[kMaxPanels];
  PLUMBLINE_UNROLL
  for (int i = 0; i < kMaxPanels; ++i) x[i] = lane < rows && i < panels ? shared.panel[lane][i] : 0.0;
  const double sum = warp_tree(thread_tree(x));
  if (lane == 0) *to = sum;
}
// Every `step`-th of the groups [first, end) of all slices, by a block.
template <class P, class Team>
PLUMBLINE_DEVICE void group_sums(const Task& task, int64_t first, int64_t end, int64_t step, GroupNorm& shared) {
  const TensorPlan& plan = task.plan;
  const int warp = thread_index() / kWarp, warps = Team::size() / kWarp;
  for (int64_t group = first; group < end; group += step) {
    const int64_t slice = group / plan.norm_sums();
    const int row = int(group % plan.norm_sums()) * core::kNormRows, left = plan.rows - row;
    const int rows = left < core::kNormRows ? left : core::kNormRows;
    const P* const from = static_cast<const P*>(task.parameter) + slice * plan.slice + int64_t(row) * plan.cols;
    for (int i = warp; i < rows * plan.panels; i += warps) {
      const int r = i / plan.panels, panel = i % plan.panels;
      const double sum = panel_sum(from + int64_t(r) * plan.cols, plan.cols, panel);
      if (thread_index() % kWarp == 0) shared.panel[r][panel] = sum;
    }
    Team::barrier();
    if (warp == 0) write_group_sum(shared, rows, plan.panels, scratch_at<double>(task, plan.parameter_sums) + group);
    Team::barrier();
  }
}
template <class Team = WholeBlock>
PLUMBLINE_DEVICE void group_sums_of_any_type(const Task& task, int64_t first, int64_t end, int64_t step,
                                             GroupNorm& shared) {
  switch (task.plan.parameter) {
    case Type::float32:
      return group_sums<float, Team>(task, first, end, step, shared);
    case Type::bfloat16:
      return group_sums<core::bf16, Team>(task, first, end, step, shared);
    case Type::float16:
      return group_sums<core::f16, Team>(task, first, end, step, shared);
  }
}

// Sums at an offset of scratch as T has them: rows, or groups of them, of `panels`, padded to a power of two; the
// caller picks slices and rows.
struct PanelTree {
  const double* sums;  // of the first row or group
  int64_t rows;
  int panels, bits;
  PLUMBLINE_DEVICE PanelTree(const Task& task, int64_t offset, int64_t slice, int first_row, int row_count)
      : sums(scratch_at<double>(task, offset) + slice * task.plan.norm_sums() +
             int64_t(task.plan.norm_groups(first_row)) * task.plan.norm_panels()),
        rows(task.plan.norm_groups(row_count)),
        panels(task.plan.norm_panels()),
        bits(core::tree_height(panels)) {}
  // T over them all, valid in thread 0.
  template <class Team = WholeBlock>
  PLUMBLINE_DEVICE double sum(TreeScratch& shared) const {
    return block_tree_over<8, Team>(
        rows << bits,
        [&](int64_t i) {
          const int64_t row = i >> bits, panel = i & ((int64_t(1) << bits) - 1);
          return panel < panels ? load_fresh(sums + row * panels + panel) : 0.0;
        },
        shared);
  }
};

// Whose panel sums this step adds up: those made for it, or those that the last update left behind.
enum class NormSource : uint8_t { none, made, carried };
PLUMBLINE_DEVICE NormSource norm_source(const Task& task, const core::StepScalars& scalars) {
  if (task.average == Average::confidence) return NormSource::none;
  if (scalars.reads_parameter) return NormSource::made;
  if (task.plan.hyper.carried && *scratch_at<uint32_t>(task, task.plan.norm_pending) != 0) return NormSource::carried;
  return NormSource::none;
}

// T over the panel sums of a tile of rows by a block.
template <class Team = WholeBlock>
PLUMBLINE_DEVICE void finish_norm(const Task& task, int64_t slice, int tile, NormSource source, TreeScratch& shared) {
  if (source == NormSource::none) return;
  const TensorPlan& plan = task.plan;
  const int first = tile * core::kRowTile, left = plan.rows - first;
  const int count = left < core::kRowTile ? left : core::kRowTile;
  // Before the first step there is nothing to carry: one pass over p here, not a launch that has no use ever after.
  if (source == NormSource::made && plan.hyper.carried && !plan.ticketed) {
    panel_sums_of_any_type(task, slice, int64_t(first) * plan.panels, int64_t(first + count) * plan.panels,
                           thread_index() / kWarp, Team::size() / kWarp);
    Team::barrier();
  }
  const double squares = PanelTree(task, plan.parameter_sums, slice, first, count).template sum<Team>(shared);
  const int64_t at = (plan.slices + slice) * plan.row_tiles + tile;  // behind the sums of R
  if (thread_index() == 0) scratch_at<double>(task, plan.row_tile_sums)[at] = squares;
}

// ---- the end of a tensor's sums ----

// A long chain of divisions and roots by one thread, and code that no launch has run for a while. Out of line, so that
// a rehearsal brings the very instructions that the last block will want.
PLUMBLINE_FUNCTION void end_step(const TensorPlan& plan, double update_sum, core::StepScalars& scalars) {
  core::finish_step(plan.hyper, plan.size, update_sum, plan.nonfinite == Nonfinite::skip, scalars);
}
PLUMBLINE_DEVICE void rehearse_end(const TensorPlan& plan, core::StepScalars& scalars) {
  scalars = {};
  scalars.rho = scalars.bias = scalars.parameter_sum = 1.0;
  end_step(plan, 1.0, scalars);
}

}  // namespace plumbline::PLUMBLINE_TARGET
