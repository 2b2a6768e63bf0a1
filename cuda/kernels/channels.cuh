// What a projected tensor's channels need: sums of g^2 and the largest |g|, one scale each from the norms of N and
// G_low, and the update p <- p keep - e g with e by channel.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/project.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// ---- sums of g^2, largest |g|, P, and the count of non-finite elements; opens the step ----

inline constexpr int kChannelThreads = core::kPanel / kMomentumEach, kChannelBlocksPerMultiprocessor = 6;

PLUMBLINE_DEVICE uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

// Channels are rows: T over a panel of a row, by a warp, the first panels of all rows last: a projection begins with
// them. Channels are columns: over the rows of a strip, one after the other, by a block that keeps a panel. The first
// blocks of the launch make P.
static_assert(kEntryThreads == kChannelThreads);
template <class G, class Entries>
PLUMBLINE_KERNEL(kChannelThreads, kChannelBlocksPerMultiprocessor)
channel_squares(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), cols = plan.cols;
  if (task.block == 0 && t == 0) *scalars_of(task) = begin_step(task);
  const int entries = int(entry_blocks(plan)), block = task.block - entries, blocks = task.blocks - entries;
  if (block < 0) return make_entries<Entries>(task, task.block);
  uint32_t* const all_largest = scratch_at<uint32_t>(task, plan.channel_largest);
  const GradientReader reader = {multiplier_of(task), plan.nonfinite == Nonfinite::zero};
  const G* const gradient = static_cast<const G*>(task.gradient);
  const bool whole = cols % kMomentumEach == 0;
  uint32_t found = 0;
  if (plan.reduces_columns) {
    constexpr int kPieces = core::kPanel / (kWarp * kMomentumEach), kWarps = kChannelThreads / kWarp;
    double* const sums = scratch_at<double>(task, plan.channel_panels);
    const int64_t step = int64_t(blocks) * kWarps;
    int panel = plan.panels - 1;
    for (int64_t row = int64_t(block) * kWarps + t / kWarp;; row += step) {
      for (; row >= plan.rows; row -= plan.rows) --panel;
      if (panel < 0) break;
      const int first = panel * core::kPanel + t % kWarp * kMomentumEach;
      Packed<G, kMomentumEach> raw[kPieces];
      PLUMBLINE_UNROLL
      for (int p = 0; p < kPieces; ++p) {
        const int col = first + p * kWarp * kMomentumEach;
        raw[p] = load_elements<G, kMomentumEach>(gradient + row * cols + col, cols - col, whole);
      }
      double pieces[kPieces];
      uint32_t largest = 0;
      PLUMBLINE_UNROLL
      for (int p = 0; p < kPieces; ++p) {
        float g[kMomentumEach];
        double s[kMomentumEach];
        found += reader.take<G>(raw[p], g);
        PLUMBLINE_UNROLL
        for (int e = 0; e < kMomentumEach; ++e) {
          s[e] = core::norm_square(g[e]);
          largest = larger(largest, core::magnitude_bits(g[e]));
        }
        pieces[p] = thread_tree(s);
      }
      const double sum = tree_over_numbers<kPieces>(warp_trees(pieces, t % kWarp));
      largest = warp_max(largest);
      if (t % kWarp != 0) continue;
      sums[row * plan.panels + panel] = sum;
      all_largest[row * plan.panels + panel] = largest;
    }
  } else {
    const int panel = block % plan.panels, strip = block / plan.panels;
    const int col = panel * core::kPanel + t * kMomentumEach, first = strip * plan.strip_rows;
    const int end = first + plan.strip_rows < plan.rows ? first + plan.strip_rows : plan.rows;
    double sums[kMomentumEach] = {};
    uint32_t largest[kMomentumEach] = {};
    constexpr int kRows = 4;  // at once
    constexpr int kLine = 128 / int(sizeof(G));
    const int ahead = panel * core::kPanel + t % kWarp * kLine;  // a line of the next rows, by a warp each
    const bool prefetches = sizeof(G) == 2 && t % kWarp * kLine < core::kPanel && ahead < cols;
    static_assert(kRows == kChannelThreads / kWarp);
    for (int start = first; start < end; start += kRows) {
      if (prefetches && start + kRows + t / kWarp < end)
        prefetch_line(gradient + int64_t(start + kRows + t / kWarp) * cols + ahead);
      Packed<G, kMomentumEach> raw[kRows];
      PLUMBLINE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int row = start + r < end ? start + r : first;
        raw[r] = load_elements<G, kMomentumEach>(gradient + int64_t(row) * cols + col, cols - col, whole);
      }
      PLUMBLINE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        if (start + r >= end) continue;
        float g[kMomentumEach];
        found += reader.take<G>(raw[r], g);
        PLUMBLINE_UNROLL
        for (int e = 0; e < kMomentumEach; ++e) {
          sums[e] = sums[e] + core::norm_square(g[e]);
          largest[e] = larger(largest[e], core::magnitude_bits(g[e]));
        }
      }
    }
    const int64_t to = int64_t(strip) * cols + col;
    double* const all_sums = scratch_at<double>(task, plan.channel_strips);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      if (col + e >= cols) continue;
      all_sums[to + e] = sums[e];
      all_largest[to + e] = largest[e];
    }
  }
  if (found != 0) atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
}

// ---- scales of the channels, and the scalars of the step ----

inline constexpr int kScaleThreads = 512;
inline constexpr int kScaleRows = kScaleThreads / kWarp;                                // channels of a block: rows,
inline constexpr int kScaleColumns = 64, kScaleGroups = kScaleThreads / kScaleColumns;  // or columns, and parts of each
PLUMBLINE_HD int64_t scale_tiles(const TensorPlan& plan) {
  return core::ceil_div(plan.channels, plan.reduces_columns ? kScaleRows : kScaleColumns);
}
// What the end of a tensor's sums needs.
struct ScaleEnd {
  TreeScratch tree;
  core::StepScalars scalars, rehearsed;
  uint64_t nonfinite;
  uint32_t arrived;
  float scale;
};
struct ScaleShared {
  double part[3][kScaleGroups][kScaleColumns];
  ScaleEnd end;
};

// A channel's sums of squares: of g, of N and of G_low.
struct ChannelSums {
  double gradient, update, low;
};
PLUMBLINE_DEVICE void scale_channel(const Task& task, int64_t channel, const ChannelSums& sums) {
  const TensorPlan& plan = task.plan;
  double* const kept = scratch_at<double>(task, plan.channel_sums);
  if (plan.hyper.scale_by_tensor) {
    kept[channel] = sums.gradient;
    kept[plan.channels + channel] = sums.update;
    kept[2 * int64_t(plan.channels) + channel] = sums.low;
    return;
  }
  const float scale = core::canonical(
      core::perturbed(core::PerturbedStage::channel_scale, float(core::channel_scale(sums.update, sums.low))));
  scratch_at<float>(task, plan.channel_scale)[channel] = scale;
  kept[channel] = core::channel_update_sum(scale, sums.gradient);
}

// T over a row of x^2, or over one of the parts of a column.
PLUMBLINE_DEVICE double row_squares(const float* x, int64_t count) {
  return warp_row_tree<double>(count, [=](int64_t i) { return core::norm_square(x[i]); });
}
PLUMBLINE_DEVICE double column_squares(const float* x, int64_t count, int64_t stride, int part) {
  return tree_part<double>(count, part, kScaleGroups, [=](int64_t i) { return core::norm_square(x[i * stride]); });
}

PLUMBLINE_DEVICE void scale_tile(const Task& task, int tile, ScaleShared& shared) {
  const TensorPlan& plan = task.plan;
  const int t = thread_index();
  const float* const update = scratch_at<const float>(task, plan.low_rank_update);
  const float* const low = scratch_at<const float>(task, plan.low_rank_gradient);
  if (plan.reduces_columns) {
    const int64_t channel = int64_t(tile) * kScaleRows + t / kWarp;
    if (channel >= plan.channels) return;
    const double* const panels = scratch_at<const double>(task, plan.channel_panels) + channel * plan.panels;
    const ChannelSums sums = {warp_row_tree<double>(plan.panels, [=](int64_t i) { return panels[i]; }),
                              row_squares(update + channel * plan.rank, plan.rank),
                              row_squares(low + channel * plan.rank, plan.rank)};
    if (t % kWarp == 0) scale_channel(task, channel, sums);
    return;
  }
  const int j = t % kScaleColumns, group = t / kScaleColumns;
  const int64_t channel = int64_t(tile) * kScaleColumns + j;
  if (channel < plan.channels) {
    const double* const strips = scratch_at<const double>(task, plan.channel_strips) + channel;
    shared.part[0][group][j] =
        tree_part<double>(plan.strips, group, kScaleGroups, [&](int64_t i) { return strips[i * plan.cols]; });
    shared.part[1][group][j] = column_squares(update + channel, plan.rank, plan.cols, group);
    shared.part[2][group][j] = column_squares(low + channel, plan.rank, plan.cols, group);
  }
  block_barrier();
  if (group != 0 || channel >= plan.channels) return;
  double sums[3];
  PLUMBLINE_UNROLL
  for (int s = 0; s < 3; ++s) {
    double parts[kScaleGroups];
    PLUMBLINE_UNROLL
    for (int k = 0; k < kScaleGroups; ++k) parts[k] = shared.part[s][k][j];
    sums[s] = thread_tree(parts);
  }
  scale_channel(task, channel, {sums[0], sums[1], sums[2]});
}

// sum u^2 over the channels, valid in thread 0; with one scale by tensor that one first.
template <int Each>
PLUMBLINE_DEVICE double update_sum_of_channels(const Task& task, ScaleEnd& shared) {
  const TensorPlan& plan = task.plan;
  const double* const kept = scratch_at<double>(task, plan.channel_sums);
  if (!plan.hyper.scale_by_tensor)
    return block_tree_over<Each>(
        plan.channels, [&](int64_t c) { return load_fresh(kept + c); }, shared.tree);
  const auto of = [&](int which) {
    return [=, n = int64_t(plan.channels)](int64_t c) { return load_fresh(kept + which * n + c); };
  };
  const double update = block_tree_over<4>(plan.channels, of(1), shared.tree);
  const double low = block_tree_over<4>(plan.channels, of(2), shared.tree);
  if (thread_index() == 0) {
    shared.scale =
        core::canonical(core::perturbed(core::PerturbedStage::channel_scale, float(core::channel_scale(update, low))));
    scratch_at<float>(task, plan.channel_scale)[0] = shared.scale;
  }
  block_barrier();
  return block_tree_over<4>(
      plan.channels, [&](int64_t c) { return core::channel_update_sum(shared.scale, of(0)(c)); }, shared.tree);
}

// By every block before anything else: what the last one will need, by then behind a barrier.
PLUMBLINE_DEVICE void begin_scales(const Task& task, ScaleEnd& shared) {
  if (thread_index() != block_size() - 1) return;
  shared.scalars = *scalars_of(task);
  shared.nonfinite = load_fresh(scratch_at<uint64_t>(task, task.plan.nonfinite_count));
}
// Of all blocks the last one ends the tensor's sums; `skip` was read before.
template <int Each>
PLUMBLINE_DEVICE void end_scales(const Task& task, NormSource source, bool skip, ScaleEnd& shared) {
  const TensorPlan& plan = task.plan;
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + 1;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  double update_sum = skip ? 0.0 : update_sum_of_channels<Each>(task, shared);
  const double* const squares = scratch_at<double>(task, plan.row_tile_sums) + plan.row_tiles;
  const double parameter_sum =
      source == NormSource::none ? 0.0
                                 : block_tree_over<4>(
                                       plan.row_tiles, [&](int64_t i) { return load_fresh(squares + i); }, shared.tree);
  if (thread_index() != 0) return;
  *done = 0;
  *scratch_at<uint64_t>(task, plan.nonfinite_count) = 0;
  core::StepScalars& scalars = shared.scalars;
  scalars.nonfinite = nonfinite_elements(task, shared.nonfinite);
  if (source != NormSource::none) scalars.parameter_sum = parameter_sum;
  if (plan.hyper.scale_first) update_sum = update_sum * plan.hyper.projection_scale;
  end_step(plan, update_sum, scalars);
  *scalars_of(task) = scalars;
}

// Blocks of channels first, then tiles of rows for sum p^2.
PLUMBLINE_KERNEL(kScaleThreads, 1)
scale_channels(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ScaleShared, shared);
  const Task task = open_task(launch, plan_shared);
  begin_scales(task, shared.end);
  const int tiles = int(scale_tiles(task.plan));
  const NormSource source = norm_source(task, *scalars_of(task));
  const bool skip = skips(task);  // read ahead of the last block, which takes the count back to 0
  if (task.block < tiles) {
    if (!skip) scale_tile(task, task.block, shared);
  } else {
    if (thread_index() == block_size() - 1) rehearse_end(task.plan, shared.end.rehearsed);
    finish_norm(task, 0, task.block - tiles, source, shared.end.tree);
  }
  end_scales<4>(task, source, skip, shared.end);
}

// ---- update ----

template <class G, class P>
PLUMBLINE_KERNEL(kApplyThreads, kApplyBlocksPerMultiprocessor)
apply_channels(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ApplyShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  if (task.block == 0) {
    if (thread_index() == 0) commit_clock(task, scalars);
    return;
  }
  if (plan.cols % kApplyVector<G, P> == 0)
    update_panel<G, P, true, true>(task, task.block - 1, task.blocks - 1, shared);
  else
    update_panel<G, P, false, true>(task, task.block - 1, task.blocks - 1, shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
