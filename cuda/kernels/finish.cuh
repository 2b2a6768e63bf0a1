// Pass 2 of the factored path: column averages C, then the scalars of the update. One block takes a tile of 64 columns
// or of 256 rows; the last block of a slice sums up the slice, the last slice the tensor. With CAME a second one
// follows the sweep of the confidence. Tiles are a launch of their own (settle.cuh) or among tickets (tickets.cuh).
#pragma once
#include "cuda/core/momentum.h"
#include "cuda/core/resolution.h"
#include "cuda/kernels/norm.cuh"
#include "cuda/kernels/state.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kFinishThreads = 512;
inline constexpr int kStripGroups = kFinishThreads / core::kColumnTile;  // of strips, per column
inline constexpr int kStripsEach = core::kMaxStrips / kStripGroups;      // strips a thread sums at once
inline constexpr int kTileWarps = core::kColumnTile / kWarp;

// Where a factored average and what follows from it lie.
struct AverageView {
  int64_t row, col, scale;  // of scratch
  int mean_at, norm_at;     // of slice_sums
  SlotKind old_col;
  bool confidence, resolves;
  PLUMBLINE_DEVICE explicit AverageView(const Task& task) : confidence(task.average == Average::confidence) {
    const TensorPlan& plan = task.plan;
    row = confidence ? plan.confidence_row : plan.row;
    col = confidence ? plan.confidence_col : plan.col;
    scale = confidence ? plan.confidence_scale : plan.col_scale;
    resolves = confidence ? plan.resolves_confidence() : plan.resolves_moment();
    mean_at = confidence ? 3 : 0;
    norm_at = confidence ? 4 : 1;
    old_col = confidence ? SlotKind::confidence_col : SlotKind::col;
  }
};

struct ColumnSums {  // by group of strips
  float col[kStripGroups][core::kColumnTile], weighted[kStripGroups][core::kColumnTile];
  float resolution[kStripGroups][core::kColumnTile / 8];
};
struct FinishShared {
  union {  // of a tile of columns, or of rows
    ColumnSums columns;
    GroupNorm groups;
  };
  double norm[kTileWarps];
  TreeScratch tree;
  uint32_t arrived;
  core::StepScalars scalars;  // as the launch finds them; in the last block then those of the step
  core::StepScalars rehearsed;
  uint64_t nonfinite;  // found by the sweep
  double sums[3];      // of one slice: norms of columns, rows, squares of parameters
};

// C_j and b_j of 64 columns, and T over them of (sum_i g^2/R_i)/C_j.
template <class Team>
PLUMBLINE_DEVICE void finish_columns(const Task& task, const AverageView& view, int64_t slice, int tile, float old,
                                     const core::StepScalars& scalars, FinishShared& shared) {
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), j = t % core::kColumnTile, groups_at_once = Team::size() / core::kColumnTile;
  const int col = tile * core::kColumnTile + j;
  const int64_t first_slice = core::is_mutant(core::Mutant::partials_of_first_slice) ? slice : task.first_slice;
  const int64_t from = (slice - first_slice) * plan.strips * plan.pitch + col;
  const float *const cols = scratch_at<float>(task, plan.partial_col) + from, *const weighted =
                                                                                  scratch_at<float>(
                                                                                      task, plan.partial_weighted) +
                                                                                  from;
  for (int group = t / core::kColumnTile; group < kStripGroups; group += groups_at_once) {
    if (t >= groups_at_once * core::kColumnTile) break;
    float c[kStripsEach], w[kStripsEach];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kStripsEach; ++i) {
      const int number = group * kStripsEach + i;
      const int strip = core::is_mutant(core::Mutant::strips_reversed) ? plan.strips - 1 - number : number;
      const int strips = core::is_mutant(core::Mutant::lost_strip) && plan.strips > 1 ? plan.strips - 1 : plan.strips;
      const bool in = strip >= 0 && strip < strips && col < plan.cols;
      c[i] = in ? cols[int64_t(strip) * plan.pitch] : 0.0f;
      w[i] = in ? weighted[int64_t(strip) * plan.pitch] : 0.0f;
    }
    shared.columns.col[group][j] = thread_tree(c);
    shared.columns.weighted[group][j] = thread_tree(w);
    if (!view.resolves || j % 8 != 0) continue;
    const float* const resolution = scratch_at<float>(task, plan.partial_resolution) + from / 8;
    PLUMBLINE_UNROLL
    for (int i = 0; i < kStripsEach; ++i) {
      const int strip = group * kStripsEach + i;
      c[i] = strip < plan.strips && col < plan.cols ? resolution[int64_t(strip) * (plan.pitch / 8)] : 0.0f;
    }
    shared.columns.resolution[group][j / 8] = thread_tree(c);
  }
  if (!core::is_mutant(core::Mutant::finish_barrier_lost)) Team::barrier();
  if (t < core::kColumnTile) {
    double norm = 0.0;
    if (col < plan.cols) {
      float groups[kStripGroups], weighted_groups[kStripGroups];
      PLUMBLINE_UNROLL
      for (int k = 0; k < kStripGroups; ++k) {
        groups[k] = shared.columns.col[k][j];
        weighted_groups[k] = shared.columns.weighted[k][j];
      }
      const auto counted = float(core::is_mutant(core::Mutant::columns_counted_wrong) ? plan.cols : plan.rows);
      const float average = core::perturbed(
          view.confidence ? core::PerturbedStage::confidence_col : core::PerturbedStage::col,
          core::average(old, thread_tree(groups), counted, view.confidence ? scalars.confidence : scalars.weights));
      scratch_at<float>(task, view.col)[slice * plan.cols + col] = core::canonical(average);
      float used = average;
      if (view.resolves) {
        PLUMBLINE_UNROLL
        for (int k = 0; k < kStripGroups; ++k) groups[k] = shared.columns.resolution[k][j / 8];
        used = core::used_col(average, thread_tree(groups), float(plan.rows));
      }
      scratch_at<float>(task, view.scale)[slice * plan.pitch + col] = core::col_scale(used);
      norm = core::norm_term(thread_tree(weighted_groups), used);
    }
    norm = warp_tree(norm);
    if (t % kWarp == 0) shared.norm[t / kWarp] = norm;
  }
  Team::barrier();
  if (t == 0) scratch_at<double>(task, plan.norm_tiles)[slice * plan.column_tiles + tile] = thread_tree(shared.norm);
}

// What finish_norm does before the first step of others, of a tensor that is stepped by tickets.
template <class Team, class Shared>
PLUMBLINE_FUNCTION void make_group_norm(const Task task, int64_t first, int64_t end, Shared& shared) {
  group_sums_of_any_type<Team>(task, first, end, 1, shared);
  Team::barrier();
}

// T over a tile's rows of R, and of the panel sums of p^2.
template <class Team>
PLUMBLINE_DEVICE void finish_rows(const Task& task, const AverageView& view, int64_t slice, int tile, NormSource source,
                                  FinishShared& shared) {
  const TensorPlan& plan = task.plan;
  const int first = tile * core::kRowTile, left = plan.rows - first;
  const int count = left < core::kRowTile ? left : core::kRowTile;
  if (source == NormSource::made && plan.hyper.carried && plan.ticketed) {
    constexpr int kGroups = core::kRowTile / core::kNormRows;
    const int64_t group = slice * plan.norm_sums() + tile * kGroups;
    make_group_norm<Team>(task, group, group + core::ceil_div(count, core::kNormRows), shared.groups);
  }
  const float* const row = scratch_at<float>(task, view.row) + slice * plan.rows + first;
  const double sum = block_tree_over<core::kRowTile / kWarp, Team>(
      count, [&](int64_t i) { return double(row[i]); }, shared.tree);
  if (thread_index() == 0) scratch_at<double>(task, plan.row_tile_sums)[slice * plan.row_tiles + tile] = sum;
  finish_norm<Team>(task, slice, tile, source, shared.tree);
}

// Sums over a slice's tiles; in shared.sums for thread 0.
template <class Team>
PLUMBLINE_DEVICE void slice_sums(const Task& task, int64_t slice, NormSource source, FinishShared& shared) {
  const TensorPlan& plan = task.plan;
  const double* const norm_tiles = scratch_at<double>(task, plan.norm_tiles) + slice * plan.column_tiles;
  const double* const row_tiles = scratch_at<double>(task, plan.row_tile_sums) + slice * plan.row_tiles;
  const double* const squares = row_tiles + plan.slices * plan.row_tiles;
  const auto of = [](const double* sums) { return [=](int64_t i) { return load_fresh(sums + i); }; };
  constexpr int kEach = 8, kMost = kEach * kWarp;
  const int t = thread_index(), warp = t / kWarp;
  if (plan.column_tiles <= kMost && plan.row_tiles <= kMost) {  // a warp each, side by side
    double sum = 0.0;
    if (warp == 0) sum = warp_tree_over<kEach>(plan.column_tiles, of(norm_tiles));
    if (warp == 1) sum = warp_tree_over<kEach>(plan.row_tiles, of(row_tiles));
    if (warp == 2 && source != NormSource::none) sum = warp_tree_over<kEach>(plan.row_tiles, of(squares));
    if (warp < 3 && t % kWarp == 0) shared.sums[warp] = sum;
    Team::barrier();
    return;
  }
  const double norm = block_tree_over<4, Team>(plan.column_tiles, of(norm_tiles), shared.tree);
  const double rows = block_tree_over<4, Team>(plan.row_tiles, of(row_tiles), shared.tree);
  const double parameter =
      source == NormSource::none ? 0.0 : block_tree_over<4, Team>(plan.row_tiles, of(squares), shared.tree);
  if (t != 0) return;
  shared.sums[0] = norm;
  shared.sums[1] = rows;
  shared.sums[2] = parameter;
}

// k of the update p <- p keep - (k/sqrt R_i) x b_j; before momentum of the update, of that update with its clip.
PLUMBLINE_DEVICE float slice_coefficient(const Task& task, const core::StepScalars& scalars, bool confidence,
                                         double mean) {
  const bool clipped = task.plan.hyper.momentum_of_update && !confidence;
  return float(clipped ? core::clipped_coefficient(mean, scalars.clip) : core::step_coefficient(scalars.applied, mean));
}

// From the tensor's sums to the scalars of the step, by one thread; takes the count of non-finite elements and leaves
// it at 0.
PLUMBLINE_DEVICE void finish_scalars(const Task& task, bool confidence, NormSource source, double update_sum,
                                     double parameter_sum, FinishShared& shared) {
  const TensorPlan& plan = task.plan;
  core::StepScalars& scalars = shared.scalars;
  if (confidence) {
    if (core::limits_later(plan.hyper)) core::finish_limit(plan.hyper, core::sqrt(update_sum), scalars);
  } else {
    scalars.nonfinite = nonfinite_elements(task, shared.nonfinite);
    if (!core::is_mutant(core::Mutant::count_kept)) *scratch_at<uint64_t>(task, plan.nonfinite_count) = 0;
    if (source != NormSource::none) scalars.parameter_sum = parameter_sum;
    end_step(plan, update_sum, scalars);
  }
  *scalars_of(task) = scalars;
}

// The last block of a slice; and of the tensor, where that has more of them.
template <class Team>
PLUMBLINE_DEVICE void finish_sums(const Task& task, const AverageView& view, int64_t slice, NormSource source,
                                  FinishShared& shared) {
  const TensorPlan& plan = task.plan;
  const int t = thread_index();
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done);
  double* const sums = scratch_at<double>(task, plan.slice_sums);
  float* const k = scratch_at<float>(task, plan.slice_step);
  slice_sums<Team>(task, slice, source, shared);
  if (t == 0) {
    const double mean = core::mean_row(shared.sums[1], plan.rows);
    const double update_sum = core::slice_update_sum(mean, shared.sums[0]);
    if (!core::is_mutant(core::Mutant::arrivals_kept)) done[slice] = 0;
    if (plan.slices == 1) {
      finish_scalars(task, view.confidence, source, update_sum, shared.sums[2], shared);
      k[0] = slice_coefficient(task, shared.scalars, view.confidence, mean);
    } else {
      sums[view.mean_at * plan.slices + slice] = mean;
      sums[view.norm_at * plan.slices + slice] = update_sum;
      if (source != NormSource::none) sums[2 * plan.slices + slice] = shared.sums[2];
    }
  }
  if (plan.slices == 1 || !is_last_block<Team>(done + plan.slices, uint32_t(plan.slices), shared.arrived)) return;
  const auto of = [&](int which) {
    return [=, &plan](int64_t i) { return load_fresh(sums + which * plan.slices + i); };
  };
  const double update_sum = block_tree_over<4, Team>(plan.slices, of(view.norm_at), shared.tree);
  const double parameter_sum =
      source == NormSource::none ? 0.0 : block_tree_over<4, Team>(plan.slices, of(2), shared.tree);
  if (t == 0) {
    done[plan.slices] = 0;
    finish_scalars(task, view.confidence, source, update_sum, parameter_sum, shared);
  }
  Team::barrier();
  for (int64_t i = t; i < plan.slices; i += Team::size())
    k[i] = slice_coefficient(task, shared.scalars, view.confidence,
                             of(view.mean_at)(core::is_mutant(core::Mutant::slices_share_mean) ? 0 : i));
}

// One tile, by two warps or more of a block: those of rows come first. begin() comes before anything that this step's
// sweep wrote is read; the state is what the step starts from.
template <class Team = WholeBlock, class Begin>
PLUMBLINE_DEVICE void finish_tile(const Task& task, FinishShared& shared, const Begin& begin) {
  const TensorPlan& plan = task.plan;
  const AverageView view(task);
  const int tiles = plan.column_tiles + plan.row_tiles, tile = task.block % tiles, t = thread_index();
  const int column_tile =
      core::is_mutant(core::Mutant::tile_index_wraps) ? (tile - plan.row_tiles) / 2 : tile - plan.row_tiles;
  const int64_t slice = task.first_slice + task.block / tiles;
  const int col = column_tile * core::kColumnTile + t;
  float old = 0.0f;
  if (tile >= plan.row_tiles && t < core::kColumnTile && col < plan.cols)
    old = old_value(slot_of(task, view.old_col), task.state, slice, col,
                    core::at<const core::TensorClock>(task.state, plan.clock)->writes);
  begin();
  const core::StepScalars& scalars = *scalars_of(task);
  if (view.confidence && scalars.skipped) return;
  // what the last block needs at the end
  if (t == Team::size() - 1) {
    shared.scalars = scalars;
    shared.nonfinite = load_fresh(scratch_at<uint64_t>(task, plan.nonfinite_count));
  }
  const NormSource source = norm_source(task, scalars);
  if (tile < plan.row_tiles)
    finish_rows<Team>(task, view, slice, tile, source, shared);
  else
    finish_columns<Team>(task, view, slice, column_tile, old, scalars, shared);
  if (is_last_block<Team>(scratch_at<uint32_t>(task, plan.done) + slice, uint32_t(tiles), shared.arrived))
    finish_sums<Team>(task, view, slice, source, shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
