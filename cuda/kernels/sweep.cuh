// Pass 1 of the factored path: row averages R, and per strip of rows the column sums of g^2 and g^2/R.
//
// A block takes one strip. Thread t owns the 16-byte vectors t, t + T, ... of every row; Rows rows make a batch,
// batches wait in a ring of asynchronous copies. A thread reads only what it copied itself, so the ring needs no
// barrier; the two barriers of a batch belong to the row sums. Writes scratch only.
//
// Rows too wide for a block are cut into segments (aligned power-of-two ranges of columns), and two passes share this
// code: `rows` leaves sum_j g^2 of each row and segment, `columns` reads them back and does the rest.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

enum class SweepMode : uint8_t { rows, columns };

struct SweepShape {  // of a segmented sweep
  SweepMode mode = SweepMode::rows;
  int32_t segments = 1;  // of a row
  int32_t segment = 0;   // columns of one
};

template <int Rows>
struct SweepShared {
  alignas(16) float sums[Rows][4 * kWarp];  // of 32 vectors each, in the order of columns
  float inverse[Rows];
  core::Weights<float> weights;
};

// Counts the gradient elements under the non-finite policy and sets them to 0 where it says so. True when it changed
// any.
template <class G, int N>
PLUMBLINE_DEVICE bool clean(Vec<G, N>& v, bool zero, uint32_t& found) {
  bool changed = false;
  for (int e = 0; e < N; ++e) {
    if (!core::is_nonfinite(core::widen(v.x[e]))) continue;
    ++found;
    if (zero) v.x[e] = G{}, changed = true;
  }
  return changed;
}

// T over the lane's share of a row's segments: `each`, a power of two.
PLUMBLINE_DEVICE float segment_tree(const float* parts, int count, int each, int lane) {
  float level[32], sum = 0.0f;  // binary counter: level l holds a sum of 2^l parts
  for (int i = 0; i < each; ++i) {
    const int at = lane * each + i;
    sum = at < count ? parts[at] : 0.0f;
    int l = 0;
    for (int r = i; r & 1; r >>= 1) sum = core::pair(level[l++], sum);
    level[l] = sum;
  }
  return sum;
}

// Columns per thread, Rows per batch, Stages batches in flight, at most Threads threads: tuning, none of it in the
// bits. Keep: squares stay in registers between their two uses. Segmented: rows are cut, and shape.mode says which pass
// it is.
template <class G, int Columns, int Rows, int Stages, int Threads, bool Keep, bool Segmented>
PLUMBLINE_KERNEL(Threads, 1)
sweep(const Task task, const SweepShape shape) {
  constexpr int E = kVector<G>, kVectors = Columns / E, N = Rows * kVectors, kStage = N * Threads;
  static_assert(Columns % E == 0 && N <= kWarp && (N & (N - 1)) == 0 && 8 % Rows == 0);
  static_assert(kVectors * Threads / kWarp <= 4 * kWarp);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, ring);
  PLUMBLINE_SHARED(SweepShared<Rows>, shared);

  const TensorPlan& plan = task.plan;
  const int t = thread_index(), T = block_size(), lane = t % kWarp, warp = t / kWarp, warps = T / kWarp;
  // what this pass does of the two
  const bool sums_rows = !Segmented || shape.mode == SweepMode::rows;
  const bool sums_columns = !Segmented || shape.mode == SweepMode::columns;
  const int segments = Segmented ? shape.segments : 1, segment = Segmented ? block_index() % segments : 0;
  const int item = Segmented ? block_index() / segments : block_index();
  const int strip = item % plan.strips, local_slice = item / plan.strips;
  const int64_t slice = task.first_slice + local_slice;
  const int first_row = strip * plan.strip_rows;
  const int end_row = first_row + plan.strip_rows < plan.rows ? first_row + plan.strip_rows : plan.rows;
  const int first_col = Segmented ? segment * shape.segment : 0;
  const int width = Segmented && plan.cols - first_col > shape.segment ? shape.segment : plan.cols - first_col;
  const bool aligned = plan.cols % E == 0;
  const G* const gradient = static_cast<const G*>(task.gradient) + slice * plan.slice + first_col;
  float* const row_average = scratch_at<float>(task, plan.row) + slice * plan.rows;
  float* const row_parts = scratch_at<float>(task, plan.panel_rows) + int64_t(local_slice) * plan.rows * segments;

  Bits<16>* const own = ring + t;  // vector i of stage s: own[s kStage + i Threads]
  int next_row = first_row, next_stage = 0;
  const auto fetch = [&] {
    Bits<16>* const to = own + next_stage * kStage;
    const G* const from = gradient + int64_t(next_row) * plan.cols + t * E;
    if (aligned) {
      PLUMBLINE_UNROLL
      for (int k = 0; k < Rows; ++k) {
        PLUMBLINE_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          const bool in = next_row + k < end_row && (v * T + t) * E < width;
          copy16_async(to + (k * kVectors + v) * Threads,
                       in ? static_cast<const void*>(from + int64_t(k) * plan.cols + v * T * E) : task.gradient, in);
        }
      }
    } else {
      for (int i = 0; i < N; ++i) {
        const int k = i / kVectors, col = (i % kVectors * T + t) * E;
        const int count = next_row + k < end_row ? width - col : 0;
        const auto v = load_elements<G, E>(from + int64_t(k) * plan.cols + i % kVectors * T * E, count, false);
        store<16>(to + i * Threads, pack<Bits<16>>(unpack<G, E>(v)));
      }
    }
    next_row += Rows;
    next_stage = next_stage + 1 == Stages ? 0 : next_stage + 1;
  };
  for (int s = 0; s < Stages - 1; ++s) {
    if (next_row < end_row) fetch();
    copy_commit();
  }

  // Every block makes the step's scalars itself while the first rows are on their way.
  if (t == 0) {
    const core::StepScalars scalars = begin_step(task);
    shared.weights = scalars.weights;
    if (block_index() == 0) *scalars_of(task) = scalars;
  }
  block_barrier();
  const core::Weights<float> weights = shared.weights;
  const SlotPlan& row_slot = slot_of(task, SlotKind::row);

  float col_sum[Columns], weighted_sum[Columns];
  PLUMBLINE_UNROLL
  for (int i = 0; i < Columns; ++i) col_sum[i] = weighted_sum[i] = 0.0f;
  uint32_t found = 0;
  int stage = 0;
  for (int batch = first_row; batch < end_row; batch += Rows) {
    if (next_row < end_row) fetch();
    copy_commit();
    // Warp k finishes row k of the batch; what it needs of the state is fetched early.
    float old = 0.0f;
    if (sums_columns && warp < Rows && batch + warp < end_row)
      old = old_value(row_slot, task.state, slice, batch + warp);
    copy_wait<Stages - 1>();
    Bits<16>* const here = own + stage * kStage;

    float squares[Keep ? N : 1][E], sums[N];
    for (bool again = true; again;) {
      again = false;
      PLUMBLINE_UNROLL
      for (int i = 0; i < N; ++i) {
        const auto g = unpack<G, E>(load<16>(here + i * Threads));
        float s[E];
        PLUMBLINE_UNROLL
        for (int e = 0; e < E; ++e) s[e] = core::square(core::widen(g.x[e]));
        sums[i] = thread_tree(s);
        again |= !(sums[i] < core::kSquareLimit);
        if constexpr (Keep) {
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) squares[i][e] = s[e];
        }
      }
      if (again) {  // rare: look closer, and start over when an element was set to 0
        again = false;
        uint32_t in_batch = 0;
        for (int i = 0; i < N; ++i) {
          auto g = unpack<G, E>(load<16>(here + i * Threads));
          again |= clean(g, plan.nonfinite == Nonfinite::zero, in_batch);
          store<16>(here + i * Threads, pack<Bits<16>>(g));
        }
        if (sums_rows) found += in_batch;
      }
    }

    if (sums_rows) {
      const float sum = warp_trees(sums, lane);
      const int i = tree_of_lane<N>(lane);
      if (lane < N) shared.sums[i / kVectors][i % kVectors * warps + warp] = sum;
    }
    block_barrier();
    for (int k = warp; k < Rows; k += warps) {
      const int row = batch + k;
      float total;
      if (!sums_rows) {  // T over the segments, a power of two of them per lane
        int each = 1;
        while (each * kWarp < segments) each *= 2;
        total = 0.0f;
        if (row < end_row) total = segment_tree(row_parts + int64_t(row) * segments, segments, each, lane);
        total = warp_tree(total);
      } else {
        const auto four = unpack<float, 4>(load<16>(&shared.sums[k][4 * lane]));
        float part[4];
        PLUMBLINE_UNROLL
        for (int e = 0; e < 4; ++e) part[e] = 4 * lane + e < kVectors * warps ? four.x[e] : 0.0f;
        total = warp_tree(thread_tree(part));
      }
      if (lane != 0) continue;
      float inverse = 0.0f;
      if (row < end_row) {
        if (!sums_columns) {
          row_parts[int64_t(row) * segments + segment] = total;
        } else {
          if (k != warp) old = old_value(row_slot, task.state, slice, row);
          const float r = core::average(old, total, float(plan.cols), weights);
          if (segment == 0) row_average[row] = core::canonical(r);
          inverse = core::inverse_row(r);
        }
      }
      shared.inverse[k] = inverse;
    }
    block_barrier();

    if (sums_columns) {
      PLUMBLINE_UNROLL
      for (int i = 0; i < N; ++i) {
        const float inverse = shared.inverse[i / kVectors];
        float s[E];
        if constexpr (Keep) {
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) s[e] = squares[i][e];
        } else {
          const auto g = unpack<G, E>(load<16>(here + i * Threads));
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) s[e] = core::square(core::widen(g.x[e]));
        }
        PLUMBLINE_UNROLL
        for (int e = 0; e < E; ++e) {
          float &c = col_sum[i % kVectors * E + e], &w = weighted_sum[i % kVectors * E + e];
          c = core::pair(c, s[e]);
          w = core::add_weighted(s[e], inverse, w);
        }
      }
    }
    stage = stage + 1 == Stages ? 0 : stage + 1;
  }

  if (found != 0) atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
  if (!sums_columns) return;
  const int64_t at = (int64_t(local_slice) * plan.strips + strip) * plan.pitch + first_col;
  float *const cols = scratch_at<float>(task, plan.partial_col) + at, *const weighted =
                                                                          scratch_at<float>(task,
                                                                                            plan.partial_weighted) +
                                                                          at;
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int col = (v * T + t) * E;
    if (col >= width) continue;  // the row of partials is padded: a whole vector fits
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; e += 4) {
      const int i = v * E + e;
      store<16>(cols + col + e,
                pack<Bits<16>>(Vec<float, 4>{{col_sum[i], col_sum[i + 1], col_sum[i + 2], col_sum[i + 3]}}));
      store<16>(weighted + col + e, pack<Bits<16>>(Vec<float, 4>{{weighted_sum[i], weighted_sum[i + 1],
                                                                  weighted_sum[i + 2], weighted_sum[i + 3]}}));
    }
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
