// The row half of a sweep in two passes: momentum, and sums along rows in panels of kPanel columns. A warp takes a
// unit, two panels of one row, and needs no barrier; columns.cuh does the rest.
//
//   moment      sum_j g^2; with momentum of the gradient M, stored
//   confidence  M of the clipped update, stored; with CAME sum_j (u - M)^2, else for the limiter sum_j M^2 in double
#pragma once
#include "cuda/core/confidence.h"
#include "cuda/kernels/momentum.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kRowThreads = 128, kRowBlocksPerMultiprocessor = 6;
inline constexpr int kPiece = kWarp * kMomentumEach;  // columns that a warp takes at once
inline constexpr int kUnit = 2 * core::kPanel;        // columns: the widest block of a codec
inline constexpr int kPiecesOfPanel = core::kPanel / kPiece;
PLUMBLINE_HD int units_of(const TensorPlan& plan) { return int(core::ceil_div(plan.cols, kUnit)); }

// Eight elements of the gradient as statistics and momentum see them, 0 behind `count`.
struct GradientReader {
  float multiplier;
  bool zero;  // elements under the policy become 0
  template <class G>
  PLUMBLINE_DEVICE uint32_t read(const G* from, int count, bool whole, float (&g)[kMomentumEach]) const {
    const auto v = unpack<G, kMomentumEach>(load_elements<G, kMomentumEach>(from, count, whole));
    uint32_t found = 0;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      g[e] = core::widen(v.x[e]) * multiplier;
      if (!core::is_nonfinite(g[e])) continue;
      ++found;
      if (zero) g[e] = 0.0f;
    }
    return found;
  }
};

// The clipped update u_ij = g b_j a'_i of eight columns.
PLUMBLINE_DEVICE void clipped_updates(const float* scale, int count, float a, float (&u)[kMomentumEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e)
    if (e < count) u[e] = core::clipped_update(u[e], a, scale[e]);
}

// One unit: columns [first, first + kUnit) of a row.
struct RowUnit {
  int64_t slice;
  int row, first;
};

// What a pass keeps of one panel.
struct PanelSum {
  float squares;
  double norm;
};

template <class G>
struct RowPass {
  const Task& task;
  const core::StepScalars& scalars;
  GradientReader reader;
  bool updates;    // momentum, by this pass
  bool of_update;  // of the clipped update
  const SlotPlan& slot;

  // g (or u) and momentum before storage for a thread's eight columns from `col` on.
  PLUMBLINE_DEVICE uint32_t form(const RowUnit& unit, int col, float a, float (&x)[kMomentumEach],
                                 float (&m)[kMomentumEach]) const {
    const TensorPlan& plan = task.plan;
    const int count = plan.cols - col;
    const G* const from =
        static_cast<const G*>(task.gradient) + unit.slice * plan.slice + int64_t(unit.row) * plan.cols + col;
    const uint32_t found = reader.read(from, count, plan.cols % kMomentumEach == 0, x);
    if (of_update)
      clipped_updates(scratch_at<float>(task, plan.col_scale) + unit.slice * plan.pitch + col, count, a, x);
    if (!updates) return found;
    read_momentum(slot, task.state, place(unit, col), scalars.writes, m);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) m[e] = core::momentum(m[e], x[e], plan.hyper.b1, plan.hyper.c1);
    return found;
  }
  PLUMBLINE_DEVICE MomentumPlace place(const RowUnit& unit, int col) const {
    const int left = task.plan.cols - col;
    return {unit.slice, unit.row, col, left < kMomentumEach ? left : kMomentumEach};
  }
  PLUMBLINE_DEVICE void record(const RowUnit& unit, int col, const float (&m)[kMomentumEach]) const {
    const TensorPlan& plan = task.plan;
    if (plan.momentum < 0) return;
    float* const to =
        scratch_at<float>(task, plan.momentum) + unit.slice * plan.slice + int64_t(unit.row) * plan.cols + col;
    for (int e = 0; e < kMomentumEach; ++e)
      if (e < plan.cols - col) to[e] = core::canonical(m[e]);
  }
};

// A unit by a warp; the sums of its panels are valid in lane 0. Elements under the policy are counted into `found`.
template <class G>
PLUMBLINE_DEVICE void row_unit(const RowPass<G>& pass, const RowUnit& unit, float a, PanelSum (&panels)[2],
                               uint32_t& found) {
  const int lane = thread_index() % kWarp, cols = pass.task.plan.cols;
  const int pieces = int(core::ceil_div(cols - unit.first < kUnit ? cols - unit.first : kUnit, kPiece));
  const bool coded = pass.updates && core::is_quantized(pass.slot.storage);
  const int of_block = coded ? pass.slot.block / kPiece : 0;  // pieces of a codec block; 0: it lies within a piece
  float squares[2][kPiecesOfPanel] = {};
  double norms[2][kPiecesOfPanel] = {};
  core::BlockRange wide;  // of a codec block of several pieces
  for (int piece = 0; piece < pieces; ++piece) {
    if (of_block > 1 && piece % of_block == 0) {  // its range comes first; the old codes stay until it is known
      wide = {};
      for (int p = piece; p < piece + of_block && p < pieces; ++p) {
        float x[kMomentumEach], m[kMomentumEach];
        const int col = unit.first + p * kPiece + lane * kMomentumEach;
        pass.form(unit, col, a, x, m);
        wide = core::merge(wide, range_of(m, cols - col));
      }
      wide = warp_range(wide, kWarp);
    }
    const int col = unit.first + piece * kPiece + lane * kMomentumEach, count = cols - col;
    float x[kMomentumEach], m[kMomentumEach] = {}, s[kMomentumEach];
    found += pass.form(unit, col, a, x, m);
    if (pass.updates) {
      core::BlockRange range = wide;
      if (coded && of_block <= 1) range = warp_range(range_of(m, count), pass.slot.block / kMomentumEach);
      pass.record(unit, col, m);
      // old codes and scale of the block were read by every lane that shares them
      warp_barrier();
      write_momentum(pass.slot, pass.task.state, pass.place(unit, col), pass.scalars.writes, range, m);
      const bool last = of_block <= 1 || piece % of_block == of_block - 1 || piece == pieces - 1;
      const int start = of_block <= 1 ? col : unit.first + piece / of_block * of_block * kPiece;
      if (coded && last && start < cols && (of_block <= 1 ? col % pass.slot.block == 0 : lane == 0))
        write_scale(pass.slot, pass.task.state, pass.place(unit, start), range);
    }
    double d[kMomentumEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      s[e] = pass.of_update ? core::residual_square(x[e], m[e]) : core::square(x[e]);
      if (e >= count) s[e] = 0.0f;
      d[e] = pass.of_update && e < count ? core::norm_square(m[e]) : 0.0;
    }
    const float sum = warp_tree(thread_tree(s));
    const double norm = pass.of_update ? warp_tree(thread_tree(d)) : 0.0;
    PLUMBLINE_UNROLL
    for (int i = 0; i < 2 * kPiecesOfPanel; ++i) {
      if (i != piece) continue;
      squares[i / kPiecesOfPanel][i % kPiecesOfPanel] = sum;
      norms[i / kPiecesOfPanel][i % kPiecesOfPanel] = norm;
    }
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < 2; ++i) panels[i] = {thread_tree(squares[i]), thread_tree(norms[i])};
}

struct RowShared {
  core::StepScalars scalars;
};

template <class G>
PLUMBLINE_KERNEL(kRowThreads, kRowBlocksPerMultiprocessor)
sweep_rows(const Launch launch) {
  PLUMBLINE_SHARED(RowShared, shared);
  begin_grid();
  const Task task = task_of(launch);
  const TensorPlan& plan = task.plan;
  const bool confidence = task.average == Average::confidence;
  if (thread_index() == 0) {
    shared.scalars = confidence ? *scalars_of(task) : begin_step(task);
    if (!confidence && task.block == 0 && task.first_slice == 0) *scalars_of(task) = shared.scalars;
  }
  block_barrier();
  if (confidence ? shared.scalars.skipped != 0 : found_nonfinite(task)) return;
  const bool zero = plan.nonfinite == Nonfinite::zero && (!confidence || shared.scalars.nonfinite != 0);
  const RowPass<G> pass = {task,
                           shared.scalars,
                           {shared.scalars.multiplier, zero},
                           confidence || (plan.hyper.momentum && !plan.hyper.momentum_of_update),
                           confidence,
                           slot_of(task, SlotKind::momentum)};
  const int lane = thread_index() % kWarp, units = units_of(plan), panels = plan.panels;
  // without CAME this pass is one over all slices
  const bool chunked = !confidence || plan.hyper.has_confidence;
  const int64_t left = plan.slices - task.first_slice, slices = chunked && left > plan.chunk ? plan.chunk : left;
  const int64_t step = int64_t(task.blocks) * (kRowThreads / kWarp);
  uint32_t found = 0;
  for (int64_t i = int64_t(task.block) * (kRowThreads / kWarp) + thread_index() / kWarp; i < slices * plan.rows * units;
       i += step) {
    const int64_t row = i / units;  // of the chunk
    const RowUnit unit = {task.first_slice + row / plan.rows, int(row % plan.rows), int(i % units) * kUnit};
    const int64_t whole_row = unit.slice * plan.rows + unit.row;
    float a = 0.0f;
    if (confidence)
      a = core::row_scale(scratch_at<float>(task, plan.slice_step)[unit.slice],
                          scratch_at<float>(task, plan.row)[whole_row]);
    PanelSum sums[2];
    row_unit(pass, unit, a, sums, found);
    if (lane != 0) continue;
    PLUMBLINE_UNROLL
    for (int p = 0; p < 2; ++p) {
      const int panel = unit.first / core::kPanel + p;
      if (panel >= panels) continue;
      if (!confidence || plan.hyper.has_confidence)
        scratch_at<float>(task, plan.panel_rows)[row * panels + panel] = sums[p].squares;
      else if (plan.hyper.limiter)
        scratch_at<double>(task, plan.momentum_sums)[whole_row * panels + panel] = sums[p].norm;
    }
  }
  if (!confidence && !counts_first(plan) && found != 0)
    atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
}

// Ahead of momentum of the gradient under the policy `skip`: how many elements fall under it.
template <class G>
PLUMBLINE_KERNEL(kRowThreads, kRowBlocksPerMultiprocessor)
count_nonfinite(const Launch launch) {
  begin_grid();
  const Task task = task_of(launch);
  const GradientReader reader = {multiplier_of(task), false};
  const int64_t size = task.plan.size, step = int64_t(task.blocks) * kRowThreads * kMomentumEach;
  const G* const gradient = static_cast<const G*>(task.gradient);
  uint32_t found = 0;
  for (int64_t i = (int64_t(task.block) * kRowThreads + thread_index()) * kMomentumEach; i < size; i += step) {
    float g[kMomentumEach];
    const int count = size - i < kMomentumEach ? int(size - i) : kMomentumEach;
    found += reader.read(gradient + i, count, count == kMomentumEach, g);
  }
  if (found != 0) atomic_add(scratch_at<uint64_t>(task, task.plan.nonfinite_count), uint64_t(found));
}

}  // namespace plumbline::PLUMBLINE_TARGET
