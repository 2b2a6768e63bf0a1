// Pass 3 of the factored path: the update of the parameter, and the commit of state and clock.
//
// A block keeps one panel of kPanel columns (b_j in registers) and walks over groups of rows, the last rows of every
// strip first: all strips of pass 1 ran side by side, so those are what the cache still holds. The first blocks of the
// grid store the averages that the step made; their work is small beside the others'.
#pragma once
#include <cstddef>
#include <type_traits>

#include "cuda/core/projection.h"
#include "cuda/kernels/norm.cuh"
#include "cuda/kernels/state.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kApplyThreads = 128, kApplyColumns = core::kPanel / kApplyThreads;
inline constexpr int kApplyBlocksPerMultiprocessor = 6;
inline constexpr int kCommitTile = 2048, kCommitEach = kCommitTile / kApplyThreads;

struct ApplyShared {
  WarpRanges range;
  double sums[2][4][kApplyColumns / 4][kApplyThreads / kWarp];  // of p^2: batch parity, row, vector, warp
};

// Tiles of a tensor's averages as they are stored.
PLUMBLINE_HD int64_t commit_tiles(const TensorPlan& plan) {
  const int64_t of_slice = core::ceil_div(plan.rows, kCommitTile) + core::ceil_div(plan.cols, kCommitTile);
  return plan.slices * of_slice * (plan.hyper.has_confidence ? 2 : 1);
}

// R and C of this step (and of the confidence) become the state that the next one starts from; a block takes every
// `blocks`-th tile.
PLUMBLINE_DEVICE void commit_averages(const Task& task, int block, int blocks, uint32_t writes, WarpRanges& shared) {
  const TensorPlan& plan = task.plan;
  const int64_t row_tiles = core::ceil_div(plan.rows, kCommitTile), col_tiles = core::ceil_div(plan.cols, kCommitTile);
  const int64_t of_slice = row_tiles + col_tiles, of_average = plan.slices * of_slice;
  const int64_t tiles = commit_tiles(plan) - (core::is_mutant(core::Mutant::last_tile_uncommitted) ? 1 : 0);
  for (int64_t i = block; i < tiles; i += blocks) {
    const bool confidence = i >= of_average;
    const int64_t at = confidence ? i - of_average : i, slice = at / of_slice, tile = at % of_slice;
    const bool rows = tile < row_tiles;
    const SlotPlan& slot = confidence ? slot_of(task, rows ? SlotKind::confidence_row : SlotKind::confidence_col)
                                      : slot_of(task, rows ? SlotKind::row : SlotKind::col);
    const int64_t offset = confidence ? (rows ? plan.confidence_row : plan.confidence_col) : rows ? plan.row : plan.col;
    const int64_t index = (rows ? tile : tile - row_tiles) * kCommitTile + thread_index() * kCommitEach;
    const float* const from = scratch_at<float>(task, offset) + slice * slot.matrix + index;
    const int64_t left = slot.matrix - index;
    const int count = left < kCommitEach ? int(left) : kCommitEach;
    float v[kCommitEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kCommitEach; ++e) v[e] = e < count ? from[e] : 0.0f;
    core::BlockScale scale = {0.0f, 1.0f};
    if (core::is_quantized(slot.storage)) scale = tile_scale(slot, v, count, shared);
    store_values(slot, task.state, slice, index, v, count, scale, writes);
  }
}
// The blocks of an apply that store: the first ones, more of them for a large batch. Block 0 moves the clock, too.
inline constexpr int kFewCommitBlocks = 16;
PLUMBLINE_HD int commit_blocks_of(const TensorPlan& plan) {
  constexpr int64_t kMost = 2048, kTilesEach = 8;
  const int64_t tiles = commit_tiles(plan), blocks = tiles / kTilesEach;
  if (tiles < kFewCommitBlocks) return int(tiles);
  return int(blocks < kFewCommitBlocks ? kFewCommitBlocks : blocks < kMost ? blocks : kMost);
}
PLUMBLINE_DEVICE void commit_clock(const Task& task, const core::StepScalars& scalars) {
  core::commit_step(task.plan.hyper, scalars, *core::at<core::TensorClock>(task.state, task.plan.clock));
  *scratch_at<uint32_t>(task, task.plan.norm_pending) = task.plan.hyper.carried;
}
PLUMBLINE_DEVICE void commit(const Task& task, const core::StepScalars& scalars, WarpRanges& shared) {
  const TensorPlan& plan = task.plan;
  if (task.block == 0 && thread_index() == 0) commit_clock(task, scalars);
  commit_averages(task, task.block, commit_blocks_of(plan), scalars.writes, shared);
}

// Rounds N consecutive updated values, from column `col` of a row on, to the parameter's type. `random`: stochastically
// (16-bit types; col is a multiple of N, which is 4 or 8).
template <class P, int N>
PLUMBLINE_DEVICE void round_parameters(const TensorPlan& plan, uint32_t writes, bool random, int64_t slice, int64_t row,
                                       int64_t col, const float (&y)[N], Vec<P, N>& p) {
  if constexpr (sizeof(P) == 2) {
    if (random) {
      const core::PhiloxWords words = core::draw_group(
          {{plan.seed, core::is_mutant(core::Mutant::parameter_stream_shared) ? plan.index * 16u : plan.stream},
           writes},
          col / core::kDraws, row, slice);
      const int first = int(col % core::kDraws);
      PLUMBLINE_UNROLL
      for (int e = 0; e < N; ++e) core::narrow_stochastic(y[e], core::draw_bits(words, first + e), p.x[e]);
      return;
    }
  }
  narrow_all(y, p);
}

// The row whose average a row takes: its own, but for one mutant.
PLUMBLINE_DEVICE int neighbour_row(int row, int rows) {
  return core::is_mutant(core::Mutant::neighbour_row) && row + 1 < rows ? row + 1 : row;
}

// Elements of a vector: 16 bytes of the wider type.
template <class G, class P>
inline constexpr int kApplyVector = kVector<G> < kVector<P> ? kVector<G> : kVector<P>;

// The update of a panel by block number `block` of `blocks`, a multiple of the panels. Whole: rows consist of whole
// aligned vectors; a copy of the code, for the sake of registers. Channels: a projected tensor's, p <- p keep - e g.
// With `groups`, by tickets: instead of a panel all panels of every `blocks`-th group of kNormRows rows.
template <class G, class P, bool Whole, bool Channels = false, class Groups = std::nullptr_t>
PLUMBLINE_DEVICE void update_panel(const Task& task, int block, int blocks, ApplyShared& shared,
                                   Groups groups = nullptr) {
  constexpr bool kGroups = !std::is_same_v<Groups, std::nullptr_t>;
  constexpr int E = kApplyVector<G, P>, kVectors = kApplyColumns / E, kRows = 4 / kVectors;
  constexpr int N = kRows * kVectors;
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  const bool carried = plan.hyper.carried, random = plan.parameter_rounding == Rounding::stochastic;
  const float keep = scalars.keep, multiplier = scalars.multiplier;
  const uint32_t parameter_writes = uint32_t(scalars.step - 1);
  const int rows = plan.rows, cols = plan.cols, plan_strips = plan.strips, strip_rows = plan.strip_rows;
  const int64_t slice_size = plan.slice;
  const bool zero = scalars.nonfinite != 0 && plan.nonfinite == Nonfinite::zero &&
                    !core::is_mutant(core::Mutant::zeroed_in_sums_only);
  int panel = kGroups ? 0 : block % plan.panels, first_col = panel * core::kPanel + t * E;
  const float* const averages = scratch_at<float>(task, Channels ? plan.channel_scale : plan.row);
  const float* const k = scratch_at<float>(task, plan.slice_step);
  const bool by_row = !Channels || plan.reduces_columns || plan.hyper.scale_by_tensor;
  const int64_t row_stride = plan.hyper.scale_by_tensor ? 0 : 1;  // of channels
  const double channel_step = scalars.channel_step;
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  float b[kApplyColumns] = {};  // of a panel of a slice
  const auto load_columns = [&](int64_t slice) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < kApplyColumns; ++i) {
      const int col = first_col + i / E * kApplyThreads * E + i % E;
      if constexpr (Channels)
        b[i] = !by_row && col < cols ? float(core::channel_step(channel_step, averages[col])) : 0.0f;
      else
        b[i] = col < cols
                   ? scratch_at<float>(task, plan.col_scale)[slice * plan.pitch + col +
                                                             (core::is_mutant(core::Mutant::neighbour_column) ? 1 : 0)]
                   : 0.0f;
    }
  };
  int parity = 0;
  const auto update_rows = [&](int64_t slice, int row) {
    if (core::is_mutant(core::Mutant::last_rows_left) && rows > kRows && row + kRows > rows) return;
    const int64_t at = slice * slice_size + int64_t(row) * cols + first_col;
    const G* const gradient = static_cast<const G*>(task.gradient) + at;
    P* const parameter = static_cast<P*>(task.parameter) + at;
    const int own = row + lane % kRows;  // lane r makes the factor of row r for its warp
    const bool factor = by_row && own < rows;
    const float average =
        factor ? averages[Channels ? own * row_stride : slice * rows + neighbour_row(own, rows)] : 0.0f;
    Packed<G, E> g[kRows][kVectors];
    Packed<P, E> p[kRows][kVectors];
    PLUMBLINE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int left = row + r < rows ? cols - first_col : 0;
      PLUMBLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const int64_t offset = int64_t(r) * cols + v * kApplyThreads * E;
        g[r][v] = load_elements<G, E>(gradient + offset, left - v * kApplyThreads * E, Whole);
        p[r][v] = load_elements<P, E>(parameter + offset, left - v * kApplyThreads * E, Whole);
      }
    }
    float own_factor = 0.0f;
    if (factor) {
      if constexpr (Channels)
        own_factor = float(core::channel_step(channel_step, average));
      else
        own_factor = core::row_scale(k[slice], average);
    }
    PLUMBLINE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int left = row + r < rows ? cols - first_col : 0;
      const float a = shuffle(own_factor, r);
      PLUMBLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        float x[E], y[E];
        widen_all<G>(g[r][v], x);
        widen_all<P>(p[r][v], y);
        PLUMBLINE_UNROLL
        for (int e = 0; e < E; ++e) x[e] = x[e] * multiplier;
        if (zero) {
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) x[e] = core::is_nonfinite(x[e]) ? 0.0f : x[e];
        }
        PLUMBLINE_UNROLL
        for (int e = 0; e < E; ++e) {
          if constexpr (Channels)
            y[e] = core::apply_channel(y[e], x[e], by_row ? a : b[v * E + e], keep);
          else
            y[e] = core::apply(y[e], x[e], a, b[v * E + e], keep);
          y[e] = core::perturbed(core::PerturbedStage::parameter, y[e]);
        }
        Vec<P, E> parameters;
        round_parameters(plan, parameter_writes, random, slice, row + r, first_col + v * kApplyThreads * E, y,
                         parameters);
        store_elements<P, E>(parameter + int64_t(r) * cols + v * kApplyThreads * E, parameters,
                             left - v * kApplyThreads * E, Whole);
        p[r][v] = pack<Packed<P, E>>(parameters);
      }
    }
    if (carried) {
      double squares[kRows * kVectors];
      PLUMBLINE_UNROLL
      for (int i = 0; i < kRows * kVectors; ++i) {
        const int r = i / kVectors, v = i % kVectors;
        const int count = row + r < rows ? cols - first_col - v * kApplyThreads * E : 0;
        float stored[E];
        widen_all<P>(p[r][v], stored);
        if constexpr (Whole && sizeof(P) == 2) {  // of float32 it measured better as below
          squares[i] = count > 0 ? norm_tree(stored) : 0.0;
        } else {
          double s[E];
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) s[e] = e < count ? core::norm_square(stored[e]) : 0.0;
          squares[i] = thread_tree(s);
        }
      }
      const double sum = warp_trees(squares, lane);
      const int i = tree_of_lane<N>(lane);
      if (lane < N) shared.sums[parity][i / kVectors][i % kVectors][warp] = sum;
      block_barrier();  // one a batch: the next one writes the other half
      if (t < kRows && row + t < rows) {
        double parts[kVectors][kApplyThreads / kWarp], vectors[kVectors];
        PLUMBLINE_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          PLUMBLINE_UNROLL
          for (int w = 0; w < kApplyThreads / kWarp; ++w) parts[v][w] = shared.sums[parity][t][v][w];
          vectors[v] = thread_tree(parts[v]);
        }
        const double sum_of_row = thread_tree(vectors);
        if constexpr (kGroups)
          groups->panel[(row + t) % core::kNormRows][panel] = sum_of_row;
        else
          parameter_sums[(slice * rows + row + t) * plan.panels + panel] = sum_of_row;
      }
      if (!core::is_mutant(core::Mutant::parity_stuck)) parity ^= 1;
    }
  };
  if constexpr (kGroups) {
    for (int64_t group = block; group < plan.slices * plan.norm_sums(); group += blocks) {
      const int64_t slice = group / plan.norm_sums();
      const int first = int(group % plan.norm_sums()) * core::kNormRows;
      const int count = rows - first < core::kNormRows ? rows - first : core::kNormRows;
      for (panel = 0; panel < plan.panels; ++panel) {
        first_col = panel * core::kPanel + t * E;
        load_columns(slice);
        PLUMBLINE_LOOP
        for (int row = first; row < first + count; row += kRows) update_rows(slice, row);
      }
      if (carried && warp == 0) write_group_sum(*groups, count, plan.panels, parameter_sums + group);
    }
  } else if constexpr (Channels) {
    // What the projection read last comes first: the last panels of all rows, two by two, or the last rows.
    const int batches = int(core::ceil_div(rows, kRows));
    if (plan.reduces_columns) {
      int64_t item = block;
      for (int first = (plan.panels - 1) / 2 * 2; first >= 0; first -= 2) {
        const int count = plan.panels - first < 2 ? 1 : 2;
        for (; item < int64_t(count) * batches; item += blocks) {
          panel = first + int(item % count);
          first_col = panel * core::kPanel + t * E;
          update_rows(0, int(item / count) * kRows);
        }
        item -= int64_t(count) * batches;
      }
    } else {
      load_columns(0);
      for (int batch = batches - 1 - block / plan.panels; batch >= 0; batch -= blocks / plan.panels)
        update_rows(0, batch * kRows);
    }
  } else {
    const uint32_t strips = uint32_t(plan.slices) * uint32_t(plan_strips), batches = uint32_t(strip_rows / kRows);
    int64_t b_slice = -1;
    for (uint32_t q = uint32_t(block / plan.panels); q < strips * batches; q += uint32_t(blocks / plan.panels)) {
      const uint32_t strip = q % strips, batch = batches - 1 - q / strips;
      const int64_t slice = strip / uint32_t(plan_strips);
      const int row = int(strip % uint32_t(plan_strips)) * strip_rows + int(batch) * kRows;
      if (row >= rows) continue;
      if (slice != b_slice) load_columns(b_slice = slice);
      update_rows(slice, row);
    }
  }
}

template <class G, class P>
PLUMBLINE_KERNEL(kApplyThreads, kApplyBlocksPerMultiprocessor)
apply_update(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ApplyShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const int commits = commit_blocks_of(plan), block = task.block - commits, blocks = task.blocks - commits;
  if (block < 0) return commit(task, scalars, shared.range);
  if (plan.cols % kApplyVector<G, P> == 0)
    update_panel<G, P, true>(task, block, blocks, shared);
  else
    update_panel<G, P, false>(task, block, blocks, shared);
}

// The same for tensors that are stepped by tickets.
template <class G, class P>
PLUMBLINE_KERNEL(kApplyThreads, kApplyBlocksPerMultiprocessor)
apply_tickets(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ApplyShared, shared);
  PLUMBLINE_SHARED(GroupNorm, norm);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const int commits = commit_blocks_of(plan), block = task.block - commits, blocks = task.blocks - commits;
  if (block < 0) return commit(task, scalars, shared.range);
  if (plan.cols % kApplyVector<G, P> == 0)
    update_panel<G, P, true, false>(task, block, blocks, shared, &norm);
  else
    update_panel<G, P, false, false>(task, block, blocks, shared, &norm);
}

}  // namespace plumbline::PLUMBLINE_TARGET
