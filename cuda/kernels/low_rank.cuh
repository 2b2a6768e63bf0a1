// Moments of G_low: its momentum, its second moment of every element or a factored one, and N = x/(sqrt(V) + eps). The
// state of these slots is written here: the count of non-finite elements is known by now.
#pragma once
#include "cuda/kernels/project.cuh"

namespace plumbline::PLUMBLINE_TARGET {

PLUMBLINE_KERNEL(kRowThreads, kRowBlocksPerMultiprocessor)
low_rank_momentum(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (skips(task)) return;
  const RowSource<float> source = {scratch_at<const float>(task, plan.low_rank_gradient), plan.low_rows, plan.low_cols,
                                   plan.low_rank_momentum, scratch_at<float>(task, plan.low_rank_update)};
  const RowPass<float> pass = {task, source, scalars, {1.0f, false},
                               true, false,  false,   slot_of(task, SlotKind::low_rank_momentum)};
  constexpr int kWarps = kRowThreads / kWarp;
  const int64_t units = core::ceil_div(plan.low_cols, kUnit), step = int64_t(task.blocks) * kWarps;
  uint32_t ignored = 0;
  for (int64_t i = int64_t(task.block) * kWarps + thread_index() / kWarp; i < plan.low_rows * units; i += step) {
    PanelSum sums[2];
    row_unit(pass, {0, int(i / units), int(i % units) * kUnit}, 0.0f, sums, ignored);
  }
}

// (b q)^2 of value (i, j) of G_low's momentum as it is stored.
PLUMBLINE_DEVICE float low_resolution(const Task& task, const core::StepScalars& scalars, int64_t i, int64_t j) {
  return stored_resolution(slot_of(task, SlotKind::low_rank_momentum), task.state, {0, i, j, 1}, scalars.resolution);
}

inline constexpr int kLowThreads = 256, kLowEach = core::kFlatTile / kLowThreads, kLowBlocksPerMultiprocessor = 4;

// Where this thread's values of a tile of G_low lie.
PLUMBLINE_DEVICE ValuePlace low_place(int64_t tile, int64_t size) {
  const int64_t index = tile * core::kFlatTile + thread_index() * kLowEach, left = size - index;
  const int count = left < kLowEach ? int(left < 0 ? 0 : left) : kLowEach;
  return {0, index, count, count == kLowEach || count == 0};
}
PLUMBLINE_DEVICE void load_low(const float* from, const ValuePlace& place, float (&x)[kLowEach]) {
  const auto v = unpack<float, kLowEach>(load_elements<float, kLowEach>(from + place.index, place.count, place.whole));
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) x[e] = v.x[e];
}
PLUMBLINE_DEVICE void store_low(float* to, const ValuePlace& place, const float (&x)[kLowEach]) {
  Vec<float, kLowEach> v;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) v.x[e] = x[e];
  store_elements<float, kLowEach>(to + place.index, v, place.count, place.whole);
}

// One tile of values of a slot with one row, stored by a block.
PLUMBLINE_DEVICE void store_tile(const Task& task, const SlotPlan& slot, const ValuePlace& place,
                                 const float (&v)[kLowEach], uint32_t writes, WarpRanges& shared) {
  core::BlockScale scale = {0.0f, 1.0f};
  if (core::is_quantized(slot.storage)) scale = tile_scale(slot, v, place.count, shared);
  store_values(slot, task.state, place.slice, place.index, v, place.count, scale, writes);
}

PLUMBLINE_KERNEL(kLowThreads, kLowBlocksPerMultiprocessor)
low_rank_moment(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(WarpRanges, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (skips(task)) return;
  const SlotPlan& slot = slot_of(task, SlotKind::low_rank_second_moment);
  const float* const low = scratch_at<const float>(task, plan.low_rank_gradient);
  float* const update = scratch_at<float>(task, plan.low_rank_update);
  const int64_t size = int64_t(plan.low_rows) * plan.low_cols, tiles = core::ceil_div(size, core::kFlatTile);
  for (int64_t tile = task.block; tile < tiles; tile += task.blocks) {
    const ValuePlace place = low_place(tile, size);
    float g[kLowEach], x[kLowEach], v[kLowEach];
    load_low(low, place, g);
    load_low(plan.hyper.momentum ? update : low, place, x);
    old_values(slot, task.state, place, scalars.writes, v);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kLowEach; ++e) {
      v[e] = core::perturbed(core::PerturbedStage::low_rank_second_moment,
                             core::full_average(v[e], g[e], scalars.weights));
      float used = v[e];
      if (plan.resolves_moment() && e < place.count)
        used = core::used_moment(
            v[e], low_resolution(task, scalars, (place.index + e) / plan.low_cols, (place.index + e) % plan.low_cols));
      x[e] = core::low_rank_update(x[e], used, plan.hyper.projection_eps);
    }
    store_low(update, place, x);
    store_tile(task, slot, place, v, scalars.writes, shared);
    if (plan.low_rank_second_moment < 0) continue;
    float* const record = scratch_at<float>(task, plan.low_rank_second_moment) + place.index;
    for (int e = 0; e < place.count; ++e) record[e] = core::canonical(v[e]);
  }
}

// ---- factored: R and C of G_low, then N ----

inline constexpr int kLowColumns = 64, kLowGroups = kLowThreads / kLowColumns;  // columns of a block, parts of each
struct LowRankShared {
  float part[kLowGroups][kLowColumns], resolution[kLowGroups][kLowColumns];
  TreeScratch tree;
  uint32_t arrived;
};
PLUMBLINE_HD int64_t low_column_tiles(const TensorPlan& plan) { return core::ceil_div(plan.low_cols, kLowColumns); }

// Blocks of columns first, then those that share the rows.
PLUMBLINE_KERNEL(kLowThreads, kLowBlocksPerMultiprocessor)
low_rank_averages(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(LowRankShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (skips(task)) return;
  const int t = thread_index(), rows = plan.low_rows, cols = plan.low_cols, tiles = int(low_column_tiles(plan));
  const float* const low = scratch_at<const float>(task, plan.low_rank_gradient);
  float* const row = scratch_at<float>(task, plan.low_rank_row);
  float* const col = scratch_at<float>(task, plan.low_rank_col);
  float* const row_used = scratch_at<float>(task, plan.low_rank_row_used);
  float* const col_used = scratch_at<float>(task, plan.low_rank_col_used);
  const bool resolves = plan.resolves_moment();
  if (task.block < tiles) {
    const int j = task.block * kLowColumns + t % kLowColumns, group = t / kLowColumns;
    if (j < cols)
      shared.part[group][t % kLowColumns] =
          tree_part<float>(rows, group, kLowGroups, [&](int64_t i) { return core::square(low[i * cols + j]); });
    if (j < cols && resolves)
      shared.resolution[group][t % kLowColumns] =
          tree_part<float>(rows, group, kLowGroups, [&](int64_t i) { return low_resolution(task, scalars, i, j); });
    block_barrier();
    if (t < kLowColumns && j < cols) {
      float parts[kLowGroups];
      PLUMBLINE_UNROLL
      for (int k = 0; k < kLowGroups; ++k) parts[k] = shared.part[k][t];
      const float old = old_value(slot_of(task, SlotKind::low_rank_col), task.state, 0, j, scalars.writes);
      col[j] = core::canonical(core::perturbed(core::PerturbedStage::low_rank_col,
                                               core::average(old, thread_tree(parts), float(rows), scalars.weights)));
      if (resolves) {
        PLUMBLINE_UNROLL
        for (int k = 0; k < kLowGroups; ++k) parts[k] = shared.resolution[k][t];
        col_used[j] = core::used_col(col[j], thread_tree(parts), float(rows));
      }
    }
  } else {
    constexpr int kWarps = kLowThreads / kWarp;
    const int64_t step = int64_t(task.blocks - tiles) * kWarps;
    for (int64_t i = int64_t(task.block - tiles) * kWarps + t / kWarp; i < rows; i += step) {
      const float sum = warp_row_tree<float>(cols, [&](int64_t k) { return core::square(low[i * cols + k]); });
      const float old = old_value(slot_of(task, SlotKind::low_rank_row), task.state, 0, i, scalars.writes);
      float resolution = 0.0f;
      if (resolves)
        resolution = warp_row_tree<float>(cols, [&](int64_t k) { return low_resolution(task, scalars, i, k); });
      if (t % kWarp != 0) continue;
      row[i] = core::canonical(
          core::perturbed(core::PerturbedStage::low_rank_row, core::average(old, sum, float(cols), scalars.weights)));
      if (resolves) row_used[i] = core::used_row(row[i], resolution, float(cols));
    }
  }
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done);
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double sum = block_tree_over<4>(
      rows, [&](int64_t i) { return double(load_fresh(row + i)); }, shared.tree);
  if (t != 0) return;
  *done = 0;
  scratch_at<float>(task, plan.slice_step)[0] = float(core::inverse_root_mean(core::mean_row(sum, rows)));
}

// Tiles of R and C as they are stored; the first blocks of the launch take them.
PLUMBLINE_HD int64_t low_commit_tiles(const TensorPlan& plan) {
  return core::ceil_div(plan.low_rows, core::kFlatTile) + core::ceil_div(plan.low_cols, core::kFlatTile);
}

PLUMBLINE_KERNEL(kLowThreads, kLowBlocksPerMultiprocessor)
low_rank_normalize(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(WarpRanges, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (skips(task)) return;
  const float* const row = scratch_at<const float>(task, plan.low_rank_row);
  const float* const col = scratch_at<const float>(task, plan.low_rank_col);
  const float* const row_used = scratch_at<const float>(task, plan.low_rank_row_used);
  const float* const col_used = scratch_at<const float>(task, plan.low_rank_col_used);
  const float* const low = scratch_at<const float>(task, plan.low_rank_gradient);
  float* const update = scratch_at<float>(task, plan.low_rank_update);
  const float inverse = scratch_at<const float>(task, plan.slice_step)[0], eps = plan.hyper.projection_eps;
  const int64_t row_tiles = core::ceil_div(plan.low_rows, core::kFlatTile), commits = low_commit_tiles(plan);
  const int64_t size = int64_t(plan.low_rows) * plan.low_cols;
  const int64_t tiles = commits + core::ceil_div(size, core::kFlatTile);
  for (int64_t tile = task.block; tile < tiles; tile += task.blocks) {
    if (tile < commits) {
      const bool of_rows = tile < row_tiles;
      const SlotPlan& slot = slot_of(task, of_rows ? SlotKind::low_rank_row : SlotKind::low_rank_col);
      const ValuePlace place = low_place(of_rows ? tile : tile - row_tiles, slot.matrix);
      float v[kLowEach];
      load_low(of_rows ? row : col, place, v);
      store_tile(task, slot, place, v, scalars.writes, shared);
      continue;
    }
    const ValuePlace place = low_place(tile - commits, size);
    float x[kLowEach];
    load_low(plan.hyper.momentum ? update : low, place, x);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kLowEach; ++e) {
      if (e >= place.count) continue;
      const int64_t i = (place.index + e) / plan.low_cols, j = (place.index + e) % plan.low_cols;
      x[e] = core::low_rank_factored_update(x[e], row_used[i], col_used[j], inverse, eps);
    }
    store_low(update, place, x);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
