// The column half of a sweep in two passes: the averages of a strip's rows from the panel sums that sweep_rows left,
// then the column sums of the strip. A block takes one strip and one panel of columns and streams its rows.
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

template <class G>
PLUMBLINE_KERNEL(kColumnThreads, kColumnBlocksPerMultiprocessor)
sweep_columns(const Launch launch) {
  PLUMBLINE_SHARED(ColumnShared, shared);
  begin_grid();
  const Task task = task_of(launch);
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
  const bool whole = cols % kMomentumEach == 0,
             momentum = plan.hyper.momentum && (confidence || !plan.hyper.momentum_of_update);
  const bool zero = plan.nonfinite == Nonfinite::zero && (!confidence || scalars.nonfinite != 0);
  const GradientReader reader = {scalars.multiplier, zero};
  const SlotPlan& row_slot = slot_of(task, confidence ? SlotKind::confidence_row : SlotKind::row);
  const SlotPlan& slot = slot_of(task, SlotKind::momentum);
  const core::Weights<float> weights = confidence ? scalars.confidence : scalars.weights;
  const uint32_t writes = scalars.writes;
  const float* const panel_rows =
      scratch_at<float>(task, plan.panel_rows) + int64_t(local_slice) * plan.rows * plan.panels;
  float* const average = scratch_at<float>(task, confidence ? plan.confidence_row : plan.row) + slice * plan.rows;
  const float* const moment = scratch_at<float>(task, plan.row) + slice * plan.rows;
  const float* const col_scale = scratch_at<float>(task, plan.col_scale) + slice * plan.pitch + col;
  const G* const gradient = static_cast<const G*>(task.gradient) + slice * plan.slice + col;

  float col_sum[kMomentumEach] = {}, weighted_sum[kMomentumEach] = {};
  for (int base = first_row; base < end_row; base += kColumnRows) {
    const int rows = end_row - base < kColumnRows ? end_row - base : kColumnRows;
    block_barrier();  // the rows before are done
    if (t < rows) {
      const int row = base + t;
      const float old = old_value(row_slot, task.state, slice, row, writes);
      const float sum = panel_tree(panel_rows + int64_t(row) * plan.panels, plan.panels);
      const float r = core::average(old, sum, float(cols), weights);
      if (panel == 0) average[row] = core::canonical(r);
      shared.inverse[t] = core::inverse_row(r);
      if (confidence) shared.scale[t] = core::row_scale(scratch_at<float>(task, plan.slice_step)[slice], moment[row]);
    }
    block_barrier();
    if (count <= 0) continue;
    for (int k = 0; k < rows; ++k) {
      const int row = base + k;
      float g[kMomentumEach], m[kMomentumEach];
      reader.read(gradient + int64_t(row) * cols, count, whole, g);
      if (momentum) {
        const int valid = count < kMomentumEach ? count : kMomentumEach;
        read_momentum(slot, task.state, {slice, row, col, valid}, writes + 1u, m);
      }
      if (confidence) clipped_updates(col_scale, count, shared.scale[k], g);
      const float inverse = shared.inverse[k];
      PLUMBLINE_UNROLL
      for (int e = 0; e < kMomentumEach; ++e) {
        const float s = confidence ? core::residual_square(g[e], m[e]) : core::square(g[e]);
        const float x = momentum ? core::square(m[e]) : s;
        col_sum[e] = core::pair(col_sum[e], s);
        weighted_sum[e] = core::add_weighted(x, inverse, weighted_sum[e]);
      }
    }
  }
  const int64_t at = (int64_t(local_slice) * plan.strips + strip) * plan.pitch + col;
  float* const columns = scratch_at<float>(task, plan.partial_col) + at;
  float* const weighted = scratch_at<float>(task, plan.partial_weighted) + at;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    if (e >= count) continue;
    columns[e] = col_sum[e];
    weighted[e] = weighted_sum[e];
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
