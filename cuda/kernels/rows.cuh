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

// How many elements fall under the policy; they become 0 where it says so.
PLUMBLINE_DEVICE uint32_t zero_nonfinite(float (&g)[kMomentumEach], bool zero) {
  uint32_t found = 0;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    if (!core::is_nonfinite(g[e])) continue;
    ++found;
    if (zero) g[e] = 0.0f;
  }
  return found;
}

// Eight elements of the gradient as statistics and momentum see them, 0 behind `count`.
struct GradientReader {
  float multiplier;
  bool zero;  // elements under the policy become 0
  template <class G>
  PLUMBLINE_DEVICE uint32_t read(const G* from, int count, bool whole, float (&g)[kMomentumEach]) const {
    return take<G>(load_elements<G, kMomentumEach>(from, count, whole), g);
  }
  // What was loaded before.
  template <class G>
  PLUMBLINE_DEVICE uint32_t take(const Packed<G, kMomentumEach>& raw, float (&g)[kMomentumEach]) const {
    const auto v = unpack<G, kMomentumEach>(raw);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) g[e] = core::widen(v.x[e]) * multiplier;
    return zero_nonfinite(g, zero);
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
  float squares, resolution;
  double norm;
};

// Rows of which a pass averages x: those of the gradient, or of its projection.
template <class G>
struct RowSource {
  const G* values;  // (slices x rows x cols)
  int rows, cols;
  int64_t record;  // offset in scratch of what momentum was before it became codes; -1: nobody keeps it
  float* decoded;  // where what the slot then holds goes, likewise laid out; null: nowhere
  PLUMBLINE_DEVICE int64_t at(const RowUnit& unit) const { return (unit.slice * rows + unit.row) * int64_t(cols); }
};

template <class G>
struct RowPass {
  const Task& task;
  RowSource<G> source;
  const core::StepScalars& scalars;
  GradientReader reader;
  bool updates;    // momentum, by this pass
  bool of_update;  // of the clipped update
  bool resolves;   // its steps go into what the averages divide by
  const SlotPlan& slot;

  // g (or u) and momentum before storage for a thread's eight columns from `col` on.
  PLUMBLINE_DEVICE uint32_t form(const RowUnit& unit, int col, float a, float (&x)[kMomentumEach],
                                 float (&m)[kMomentumEach]) const {
    const TensorPlan& plan = task.plan;
    const int count = source.cols - col;
    const uint32_t found =
        reader.read(source.values + source.at(unit) + col, count, source.cols % kMomentumEach == 0, x);
    if (of_update)
      clipped_updates(scratch_at<float>(task, plan.col_scale) + unit.slice * plan.pitch + col, count, a, x);
    if (!updates) return found;
    read_momentum(slot, task.state, place(unit, col), scalars.writes, m);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e)
      m[e] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[e], x[e], plan.hyper.b1, plan.hyper.c1));
    return found;
  }
  PLUMBLINE_DEVICE MomentumPlace place(const RowUnit& unit, int col) const {
    const int left = source.cols - col;
    return {unit.slice, unit.row, col, left < kMomentumEach ? left : kMomentumEach};
  }
  PLUMBLINE_DEVICE void record(const RowUnit& unit, int col, const float (&m)[kMomentumEach]) const {
    if (source.record < 0) return;
    float* const to = scratch_at<float>(task, source.record) + source.at(unit) + col;
    for (int e = 0; e < kMomentumEach; ++e)
      if (e < source.cols - col) to[e] = core::canonical(m[e]);
  }
  PLUMBLINE_DEVICE void keep_decoded(const RowUnit& unit, int col, const float (&m)[kMomentumEach]) const {
    if (source.decoded == nullptr) return;
    float* const to = source.decoded + source.at(unit) + col;
    for (int e = 0; e < kMomentumEach; ++e)
      if (e < source.cols - col) to[e] = m[e];
  }
};

// A unit by a warp; the sums of its panels are valid in lane 0. Elements under the policy are counted into `found`.
template <class G>
PLUMBLINE_DEVICE void row_unit(const RowPass<G>& pass, const RowUnit& unit, float a, PanelSum (&panels)[2],
                               uint32_t& found) {
  const int lane = thread_index() % kWarp, cols = pass.source.cols;
  const int pieces = int(core::ceil_div(cols - unit.first < kUnit ? cols - unit.first : kUnit, kPiece));
  const bool coded = pass.updates && core::is_quantized(pass.slot.storage);
  const int of_block = coded ? pass.slot.block / kPiece : 0;  // pieces of a codec block; 0: it lies within a piece
  float squares[2][kPiecesOfPanel] = {}, resolutions[2][kPiecesOfPanel] = {};
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
    float x[kMomentumEach], m[kMomentumEach] = {}, s[kMomentumEach], resolution = 0.0f;
    found += pass.form(unit, col, a, x, m);
    if (pass.updates) {
      core::BlockRange range = wide;
      if (coded && of_block <= 1) range = warp_range(range_of(m, count), pass.slot.block / kMomentumEach);
      pass.record(unit, col, m);
      // old codes and scale of the block were read by every lane that shares them
      warp_barrier();
      write_momentum(pass.slot, pass.task.state, pass.place(unit, col), pass.scalars.writes, range, m);
      pass.keep_decoded(unit, col, m);
      const bool last = of_block <= 1 || piece % of_block == of_block - 1 || piece == pieces - 1;
      const int start = of_block <= 1 ? col : unit.first + piece / of_block * of_block * kPiece;
      if (coded && last && start < cols && (of_block <= 1 ? col % pass.slot.block == 0 : lane == 0))
        write_scale(pass.slot, pass.task.state, pass.place(unit, start), range);
      if (pass.resolves)
        resolution = warp_tree(
            resolution_tree(core::resolution_square(core::uniform_scale(range), pass.scalars.resolution), count));
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
      resolutions[i / kPiecesOfPanel][i % kPiecesOfPanel] = resolution;
      norms[i / kPiecesOfPanel][i % kPiecesOfPanel] = norm;
    }
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < 2; ++i) panels[i] = {thread_tree(squares[i]), thread_tree(resolutions[i]), thread_tree(norms[i])};
}

// ---- the common case: uf4 or uf8 stochastically, codec blocks within a piece, whole vectors ----

PLUMBLINE_DEVICE bool takes_fast_rows(const TensorPlan& plan, bool confidence, bool updates) {
  const SlotPlan& slot = plan.slot[int(SlotKind::momentum)];
  const bool norms = confidence && plan.hyper.limiter && !plan.hyper.has_confidence;
  return updates && !norms && takes_stochastic(slot) && slot.block <= kPiece && plan.cols % kMomentumEach == 0;
}

// A thread's part of a piece as it lies in memory.
template <class G, Storage S>
struct RawPiece {
  Packed<G, kMomentumEach> g;
  Packed<uint8_t, StochasticCodec<S>::kBytes> codes;
  float scale;
};

// What a fast pass reads of the plan, in registers.
struct FastRows {
  std::byte* codes;
  float* scales;
  const float* col_scale;
  core::RoundingStream stream;
  float b1, c1, resolution;
  int cols, shift, threads;         // of a codec block: exponent of its values, threads that share it
  bool squares, records, resolves;  // whether they are wanted
  PLUMBLINE_DEVICE FastRows(const Task& task, const SlotPlan& slot, const core::StepScalars& scalars, bool of_update)
      : codes(task.state + slot.values),
        scales(core::at<float>(task.state, slot.scales)),
        col_scale(scratch_at<float>(task, task.plan.col_scale)),
        stream(stream_of(slot, scalars.writes)),
        b1(task.plan.hyper.b1),
        c1(task.plan.hyper.c1),
        resolution(scalars.resolution),
        cols(task.plan.cols),
        shift(block_shift(slot.block)),
        threads(slot.block / kMomentumEach),
        squares(!of_update || task.plan.hyper.has_confidence),
        records(task.plan.momentum >= 0),
        resolves(scalars.resolution > 0.0f) {}
};

// One panel of a row by a warp: momentum stored, its sums returned in every lane.
struct FastSums {
  float squares, resolution;
};
template <class G, Storage S, bool OfUpdate>
PLUMBLINE_DEVICE FastSums fast_panel(const RowPass<G>& pass, const FastRows& fast, const RowUnit& unit, int start,
                                     float a, uint32_t& found) {
  using Codec = StochasticCodec<S>;
  constexpr int kAtOnce = 2;
  const TensorPlan& plan = pass.task.plan;
  const int lane = thread_index() % kWarp, cols = fast.cols;
  const int64_t row = unit.slice * plan.rows + unit.row;
  const G* const gradient = static_cast<const G*>(pass.task.gradient) + row * cols;
  std::byte* const codes = fast.codes + row * pass.slot.row_bytes;
  float* const scales = fast.scales + row * pass.slot.row_blocks;
  const float* const col_scale = fast.col_scale + unit.slice * plan.pitch;
  float squares[kPiecesOfPanel], resolutions[kPiecesOfPanel];
  PLUMBLINE_UNROLL
  for (int first = 0; first < kPiecesOfPanel; first += kAtOnce) {
    RawPiece<G, S> raw[kAtOnce];
    PLUMBLINE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const int col = start + (first + i) * kPiece + lane * kMomentumEach;
      raw[i] = {};
      if (col >= cols) continue;
      raw[i].g = load_elements<G, kMomentumEach>(gradient + col, kMomentumEach, true);
      raw[i].codes = Codec::load_codes(codes + core::row_bytes(S, col));
      raw[i].scale = scales[col >> fast.shift];
    }
    PLUMBLINE_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const int col = start + (first + i) * kPiece + lane * kMomentumEach;
      const auto v = unpack<G, kMomentumEach>(raw[i].g);
      float x[kMomentumEach], m[kMomentumEach], s[kMomentumEach];
      PLUMBLINE_UNROLL
      for (int e = 0; e < kMomentumEach; ++e) x[e] = core::widen(v.x[e]) * pass.reader.multiplier;
      if constexpr (OfUpdate) {
        if (pass.reader.zero) found += zero_nonfinite(x, true);
        if (col < cols) clipped_updates(col_scale + col, kMomentumEach, a, x);
      } else {
        for (bool again = true; again;) {
          PLUMBLINE_UNROLL
          for (int e = 0; e < kMomentumEach; ++e) s[e] = core::square(x[e]);
          squares[first + i] = thread_tree(s);
          again = false;
          if (squares[first + i] < core::kSquareLimit) continue;
          const uint32_t more = zero_nonfinite(x, pass.reader.zero);  // rare: look closer
          found += more;
          again = more != 0 && pass.reader.zero;
        }
      }
      Codec::decode(raw[i].codes, raw[i].scale, m);
      PLUMBLINE_UNROLL
      for (int e = 0; e < kMomentumEach; ++e)
        m[e] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[e], x[e], fast.b1, fast.c1));
      uint32_t high = range_of(m, kMomentumEach).high;
      PLUMBLINE_UNROLL
      for (int distance = 1; distance < kWarp; distance *= 2) {
        if (distance >= fast.threads) continue;
        const uint32_t other = shuffle_xor(high, distance);
        high = other > high ? other : high;
      }
      const float scale = core::uniform_scale({0u, high});
      if (fast.records && col < cols) pass.record(unit, col, m);
      warp_barrier();  // the old scale of the block was read by every lane that shares it
      const auto stored =
          Codec::encode(m, scale, core::draw_group(fast.stream, col / core::kDraws, unit.row, unit.slice));
      resolutions[first + i] =
          resolution_tree(core::resolution_square(scale, fast.resolution), col < cols ? kMomentumEach : 0);
      if (col < cols) {
        Codec::store_codes(codes + core::row_bytes(S, col), stored);
        if (lane % fast.threads == 0) scales[col >> fast.shift] = scale;
      }
      if constexpr (OfUpdate) {
        squares[first + i] = 0.0f;
        if (fast.squares) {
          Codec::decode(stored, scale, m);
          PLUMBLINE_UNROLL
          for (int e = 0; e < kMomentumEach; ++e) s[e] = col < cols ? core::residual_square(x[e], m[e]) : 0.0f;
          squares[first + i] = thread_tree(s);
        }
      }
    }
  }
  FastSums sums = {0.0f, 0.0f};
  if (fast.squares) sums.squares = tree_over_numbers<kPiecesOfPanel>(warp_trees(squares, lane));
  if (fast.resolves) sums.resolution = tree_over_numbers<kPiecesOfPanel>(warp_trees(resolutions, lane));
  return sums;
}

struct RowShared {
  core::StepScalars scalars;
};

// All units of a block, whichever way they are formed.
struct RowUnits {
  bool confidence;
  int lane, units, panels;
  int64_t first, count, step;
};
PLUMBLINE_DEVICE RowUnit unit_of(const Task& task, const RowUnits& all, int64_t i) {
  const int64_t row = i / all.units;  // of the chunk
  return {task.first_slice + row / task.plan.rows, int(row % task.plan.rows), int(i % all.units) * kUnit};
}
// a'_i of the clipped update of a unit's row.
PLUMBLINE_DEVICE float unit_scale(const Task& task, const RowUnits& all, const RowUnit& unit) {
  if (!all.confidence) return 0.0f;
  return core::row_scale(scratch_at<float>(task, task.plan.slice_step)[unit.slice],
                         scratch_at<float>(task, task.plan.row)[unit.slice * task.plan.rows + unit.row]);
}

template <class G, Storage S, bool OfUpdate>
PLUMBLINE_DEVICE void fast_row_units(const RowPass<G>& pass, const RowUnits& all, uint32_t& found) {
  const FastRows fast(pass.task, pass.slot, pass.scalars, OfUpdate);
  float* const squares = scratch_at<float>(pass.task, pass.task.plan.panel_rows);
  float* const resolutions = scratch_at<float>(pass.task, pass.task.plan.panel_resolution);
  for (int64_t i = all.first; i < all.count; i += all.step) {
    const RowUnit unit = unit_of(pass.task, all, i);
    const float a = unit_scale(pass.task, all, unit);
    PLUMBLINE_LOOP
    for (int p = 0; p < 2; ++p) {
      const int panel = unit.first / core::kPanel + p;
      if (panel >= all.panels) continue;
      const FastSums sums = fast_panel<G, S, OfUpdate>(pass, fast, unit, panel * core::kPanel, a, found);
      if (all.lane != 0) continue;
      if (fast.squares) squares[i / all.units * all.panels + panel] = sums.squares;
      if (fast.resolves) resolutions[i / all.units * all.panels + panel] = sums.resolution;
    }
  }
}

template <class G>
PLUMBLINE_DEVICE void any_row_units(const RowPass<G>& pass, const RowUnits& all, uint32_t& found) {
  const Task& task = pass.task;
  const TensorPlan& plan = task.plan;
  for (int64_t i = all.first; i < all.count; i += all.step) {
    const RowUnit unit = unit_of(task, all, i);
    PanelSum sums[2];
    row_unit(pass, unit, unit_scale(task, all, unit), sums, found);
    if (all.lane != 0) continue;
    PLUMBLINE_UNROLL
    for (int p = 0; p < 2; ++p) {
      const int panel = unit.first / core::kPanel + p;
      if (panel >= all.panels) continue;
      if (!all.confidence || plan.hyper.has_confidence)
        scratch_at<float>(task, plan.panel_rows)[i / all.units * all.panels + panel] = sums[p].squares;
      else if (plan.hyper.limiter)
        scratch_at<double>(task, plan.momentum_sums)[(unit.slice * plan.rows + unit.row) * all.panels + panel] =
            sums[p].norm;
      if (pass.resolves)
        scratch_at<float>(task, plan.panel_resolution)[i / all.units * all.panels + panel] = sums[p].resolution;
    }
  }
}

template <class G>
PLUMBLINE_KERNEL(kRowThreads, kRowBlocksPerMultiprocessor)
sweep_rows(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(RowShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const bool confidence = task.average == Average::confidence;
  if (thread_index() == 0) {
    shared.scalars = confidence ? *scalars_of(task) : begin_step(task);
    if (!confidence && task.block == 0 && task.first_slice == 0) *scalars_of(task) = shared.scalars;
  }
  block_barrier();
  if (confidence ? shared.scalars.skipped != 0 : found_nonfinite(task)) return;
  const bool zero = plan.nonfinite == Nonfinite::zero && (!confidence || shared.scalars.nonfinite != 0);
  const SlotPlan& slot = slot_of(task, SlotKind::momentum);
  const bool updates = confidence || (plan.hyper.momentum && !plan.hyper.momentum_of_update);
  const RowSource<G> source = {static_cast<const G*>(task.gradient), plan.rows, plan.cols, plan.momentum, nullptr};
  const bool resolves = confidence ? plan.resolves_confidence() : plan.resolves_moment();
  const RowPass<G> pass = {task,    source,     shared.scalars, {shared.scalars.multiplier, zero},
                           updates, confidence, resolves,       slot};
  // without CAME this pass is one over all slices
  const bool chunked = !confidence || plan.hyper.has_confidence;
  const int64_t left = plan.slices - task.first_slice, slices = chunked && left > plan.chunk ? plan.chunk : left;
  constexpr int kWarps = kRowThreads / kWarp;
  const RowUnits all = {confidence,
                        thread_index() % kWarp,
                        units_of(plan),
                        plan.panels,
                        int64_t(task.block) * kWarps + thread_index() / kWarp,
                        slices * plan.rows * units_of(plan),
                        int64_t(task.blocks) * kWarps};
  uint32_t found = 0;
  const bool fast = takes_fast_rows(plan, confidence, updates), nibbles = slot.storage == Storage::uf4;
  if (!fast) {
    any_row_units(pass, all, found);
  } else if (confidence) {
    nibbles ? fast_row_units<G, Storage::uf4, true>(pass, all, found)
            : fast_row_units<G, Storage::uf8, true>(pass, all, found);
  } else {
    nibbles ? fast_row_units<G, Storage::uf4, false>(pass, all, found)
            : fast_row_units<G, Storage::uf8, false>(pass, all, found);
  }
  if (!confidence && !counts_first(plan) && found != 0)
    atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
}

// Ahead of momentum of the gradient under the policy `skip`: how many elements fall under it.
template <class G>
PLUMBLINE_KERNEL(kRowThreads, kRowBlocksPerMultiprocessor)
count_nonfinite(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  const Task task = open_task(launch, plan_shared);
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
