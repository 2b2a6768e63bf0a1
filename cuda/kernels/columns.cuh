// The column half of a sweep in two passes: the averages of a strip's rows from the panel sums that sweep_rows left,
// then the column sums of the strip, (b q_ij)^2 among them where the average divides by no less (core/resolution.h). A
// block takes one strip and one panel of columns and streams its rows.
#pragma once
#include "cuda/kernels/rows.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kColumnThreads = core::kPanel / kMomentumEach, kColumnBlocksPerMultiprocessor = 4;
inline constexpr int kColumnRows = 64;  // rows whose inverses are ready at once

struct ColumnShared {
  float inverse[kColumnRows], scale[kColumnRows];  // 1/R_i; confidence: 1/SR_i and a'_i
};

// T over a row's panel sums.
PLUMBLINE_DEVICE float panel_tree(const float* sums, int count) {
  if (core::is_mutant(core::Mutant::later_panels_lost)) return sums[0];
  constexpr int kFew = 16;
  if (count <= kFew) {
    float x[kFew];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kFew; ++i) x[i] = i < count ? sums[i] : 0.0f;
    return thread_tree(x);
  }
  float level[32], sum = sums[0];  // binary counter: level l holds a sum of 2^l of them
  const int padded = 1 << core::tree_height(count);
  for (int i = 0; i < padded; ++i) {
    sum = i < count ? sums[i] : 0.0f;
    int l = 0;
    for (int r = i; r & 1; r >>= 1) sum = core::pair(level[l++], sum);
    level[l] = sum;
  }
  return sum;
}

// A block's columns of a strip, and what of the plan its loop needs in registers.
template <class G>
struct ColumnPass {
  const Task& task;
  const SlotPlan& slot;  // of momentum
  const G* gradient;     // this thread's columns of the slice's first row
  GradientReader reader;
  uint32_t writes;
  int64_t slice;
  int cols, col, count;
  bool confidence, momentum, resolves;
  float resolution;
  float scale[kMomentumEach];  // confidence: b_j
};
struct ColumnSums {
  float col[kMomentumEach], weighted[kMomentumEach], resolution;
};

// One row on. m: its momentum where there is any.
template <class G>
PLUMBLINE_DEVICE void add_row(const ColumnPass<G>& pass, float (&g)[kMomentumEach], const float (&m)[kMomentumEach],
                              float inverse, float row_scale, ColumnSums& sums) {
  if (pass.confidence) clipped_updates(pass.scale, pass.count, row_scale, g);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    const float s = pass.confidence ? core::residual_square(g[e], m[e]) : core::square(g[e]);
    const bool of_momentum = pass.momentum && !core::is_mutant(core::Mutant::clip_before_momentum);
    const float x = of_momentum ? core::square(m[e]) : s;
    sums.col[e] = core::pair(sums.col[e], s);
    sums.weighted[e] = core::add_weighted(x, inverse, sums.weighted[e]);
  }
}

// Rows [base, base + rows) of a slice, whose inverses are in shared memory.
template <class G>
PLUMBLINE_DEVICE void add_rows(const ColumnPass<G>& pass, int base, int rows, const ColumnShared& shared,
                               ColumnSums& sums) {
  const int valid = pass.count < kMomentumEach ? pass.count : kMomentumEach;
  const bool whole = pass.cols % kMomentumEach == 0;
  for (int k = 0; k < rows; ++k) {
    const int row = base + k;
    float g[kMomentumEach], m[kMomentumEach];
    pass.reader.read(pass.gradient + int64_t(row) * pass.cols, pass.count, whole, g);
    const MomentumPlace place = {pass.slice, row, pass.col, valid};
    if (pass.momentum) read_momentum(pass.slot, pass.task.state, place, pass.writes + 1u, m);
    if (pass.resolves)
      sums.resolution =
          core::pair(sums.resolution, stored_resolution(pass.slot, pass.task.state, place, pass.resolution));
    add_row(pass, g, m, shared.inverse[k], shared.scale[k], sums);
  }
}
// The same for whole vectors and codes of the common kind, with several rows on their way at once.
template <class G, Storage S>
PLUMBLINE_DEVICE void add_rows_fast(const ColumnPass<G>& pass, int base, int rows, const ColumnShared& shared,
                                    ColumnSums& sums) {
  using Codec = StochasticCodec<S>;
  constexpr int kAtOnce = sizeof(G) == 4 ? 2 : 4;
  const int64_t row_bytes = pass.slot.row_bytes, row_blocks = pass.slot.row_blocks, cols = pass.cols;
  const int64_t first = pass.slice * pass.task.plan.rows + base;
  const G* gradient = pass.gradient + base * cols;
  const std::byte* codes = pass.task.state + pass.slot.values + first * row_bytes + core::row_bytes(S, pass.col);
  const float* scales = core::at<const float>(pass.task.state, pass.slot.scales) + first * row_blocks +
                        (pass.col >> block_shift(pass.slot.block));
  PLUMBLINE_LOOP
  for (int k = 0; k < rows; k += kAtOnce) {
    RawPiece<G, S> raw[kAtOnce];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (k + i >= rows) continue;
      raw[i].g = load_elements<G, kMomentumEach>(gradient + i * cols, kMomentumEach, true);
      raw[i].codes = Codec::load_codes(codes + i * row_bytes);
      raw[i].scale = scales[i * row_blocks];
    }
    gradient += kAtOnce * cols;
    codes += kAtOnce * row_bytes;
    scales += kAtOnce * row_blocks;
    PLUMBLINE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (k + i >= rows) continue;
      const auto v = unpack<G, kMomentumEach>(raw[i].g);
      float g[kMomentumEach], m[kMomentumEach];
      PLUMBLINE_UNROLL
      for (int e = 0; e < kMomentumEach; ++e) g[e] = core::widen(v.x[e]) * pass.reader.multiplier;
      if (pass.reader.zero) zero_nonfinite(g, true);
      Codec::decode(raw[i].codes, raw[i].scale, m);
      sums.resolution = core::pair(sums.resolution, core::resolution_square(raw[i].scale, pass.resolution));
      add_row(pass, g, m, shared.inverse[k + i], shared.scale[k + i], sums);
    }
  }
}

template <class G>
PLUMBLINE_KERNEL(kColumnThreads, kColumnBlocksPerMultiprocessor)
sweep_columns(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ColumnShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  const bool confidence = task.average == Average::confidence;
  if (confidence ? scalars.skipped != 0 : found_nonfinite(task)) return;
  const int t = thread_index(), panel = task.block % plan.panels, item = task.block / plan.panels;
  const int strip = item % plan.strips, local_slice = item / plan.strips, cols = plan.cols;
  const int64_t slice = task.first_slice + local_slice;
  const int first_row = strip * plan.strip_rows;
  const int end_row = first_row + plan.strip_rows < plan.rows ? first_row + plan.strip_rows : plan.rows;
  const int col = panel * core::kPanel + t * kMomentumEach, count = cols - col;
  const bool momentum = plan.hyper.momentum && (confidence || !plan.hyper.momentum_of_update);
  const bool zero = plan.nonfinite == Nonfinite::zero && (!confidence || scalars.nonfinite != 0);
  const SlotPlan& row_slot = slot_of(task, confidence ? SlotKind::confidence_row : SlotKind::row);
  const SlotPlan& slot = slot_of(task, SlotKind::momentum);
  const core::Weights<float> weights = confidence ? scalars.confidence : scalars.weights;
  const uint32_t writes = scalars.writes;
  const float* const panel_rows =
      scratch_at<float>(task, plan.panel_rows) + int64_t(local_slice) * plan.rows * plan.panels;
  float* const average = scratch_at<float>(task, confidence ? plan.confidence_row : plan.row) + slice * plan.rows;
  float* const used =
      scratch_at<float>(task, confidence ? plan.confidence_row_used : plan.row_used) + slice * plan.rows;
  const float* const panel_resolution =
      scratch_at<float>(task, plan.panel_resolution) + int64_t(local_slice) * plan.rows * plan.panels;
  const float* const moment = scratch_at<float>(task, plan.row) + slice * plan.rows;
  ColumnPass<G> pass = {task,
                        slot,
                        static_cast<const G*>(task.gradient) + slice * plan.slice + col,
                        {scalars.multiplier, zero},
                        writes,
                        slice,
                        cols,
                        col,
                        count,
                        confidence,
                        momentum,
                        confidence ? plan.resolves_confidence() : plan.resolves_moment(),
                        scalars.resolution,
                        {}};
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e)
    if (confidence && e < count) pass.scale[e] = scratch_at<float>(task, plan.col_scale)[slice * plan.pitch + col + e];
  const bool fast = momentum && takes_stochastic(slot) && cols % kMomentumEach == 0;

  ColumnSums sums = {};
  for (int base = first_row; base < end_row; base += kColumnRows) {
    const int rows = end_row - base < kColumnRows ? end_row - base : kColumnRows;
    block_barrier();  // the rows before are done
    if (t < rows) {
      const int row = base + t;
      const float old = old_value(row_slot, task.state, slice, row, writes);
      const float sum = panel_tree(panel_rows + int64_t(row) * plan.panels, plan.panels);
      const auto counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : cols);
      const float r = core::perturbed(confidence ? core::PerturbedStage::confidence_row : core::PerturbedStage::row,
                                      core::average(old, sum, counted, weights));
      if (panel == 0) average[row] = core::canonical(r);
      float divides = r;
      if (pass.resolves) {
        divides =
            core::used_row(r, panel_tree(panel_resolution + int64_t(row) * plan.panels, plan.panels), float(cols));
        if (panel == 0) used[row] = divides;
      }
      shared.inverse[t] = core::inverse_row(divides);
      if (confidence) shared.scale[t] = core::row_scale(scratch_at<float>(task, plan.slice_step)[slice], moment[row]);
    }
    if (!core::is_mutant(core::Mutant::columns_barrier_lost)) block_barrier();
    if (count <= 0) continue;
    if (!fast)
      add_rows(pass, base, rows, shared, sums);
    else if (slot.storage == Storage::uf4)
      add_rows_fast<G, Storage::uf4>(pass, base, rows, shared, sums);
    else
      add_rows_fast<G, Storage::uf8>(pass, base, rows, shared, sums);
  }
  const int64_t at = (int64_t(local_slice) * plan.strips + strip) * plan.pitch + col;
  float* const columns = scratch_at<float>(task, plan.partial_col) + at;
  float* const weighted = scratch_at<float>(task, plan.partial_weighted) + at;
  if (pass.resolves && count > 0) scratch_at<float>(task, plan.partial_resolution)[at / 8] = sums.resolution;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    if (e >= count) continue;
    columns[e] = sums.col[e];
    weighted[e] = sums.weighted[e];
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
