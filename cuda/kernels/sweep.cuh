// Pass 1 of the factored path: row averages R, and per strip of rows the column sums of g^2 and g^2/R.
//
// A block takes one strip. Thread t owns the 16-byte vectors t, t + T, ... of every row; Rows rows make a batch,
// batches wait in a ring of asynchronous copies. A thread reads only what it copied itself, so the ring needs no
// barrier. Rows are finished one batch behind: while some warps turn the sums of a batch into R, the others go on to
// the columns of the batch before, so that one barrier a batch is enough. Writes scratch only.
//
// Rows too wide for a block, and steps with momentum of the gradient, take the two passes of rows.cuh and columns.cuh.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kOldRows = 256;  // rows whose old averages are decoded at once

template <int Rows>
struct SweepShared {                           // of two batches, by parity
  alignas(16) float sums[2][Rows][4 * kWarp];  // of 32 vectors each, in the order of columns
  float inverse[2][Rows];
  float old[2][kOldRows];  // R_i before the step; likewise, of two groups of rows
  core::Weights<float> weights;
};

// Counts the gradient elements under the non-finite policy and sets them to 0 where it says so. True when it changed
// any.
template <class G, int N>
PLUMBLINE_DEVICE bool clean(Vec<G, N>& v, float multiplier, bool zero, uint32_t& found) {
  bool changed = false;
  for (int e = 0; e < N; ++e) {
    if (!core::is_nonfinite(core::widen(v.x[e]) * multiplier)) continue;
    ++found;
    if (zero) v.x[e] = G{}, changed = true;
  }
  return changed;
}

// Squares of vector `i` of a batch.
template <class G, int E>
PLUMBLINE_DEVICE void squares_of(const Bits<16>* at, float multiplier, float (&s)[E]) {
  float g[E];
  widen_all<G>(load<16>(at), g);
  PLUMBLINE_UNROLL
  for (int e = 0; e < E; ++e) s[e] = core::square(g[e] * multiplier);
}

// One strip. Columns per thread, Rows per batch, Stages batches in flight, at most Threads threads: tuning, none of it
// in the bits. Keep: squares stay in registers between their two uses.
template <class G, int Columns, int Rows, int Stages, int Threads, bool Keep, class Launcher>
PLUMBLINE_DEVICE void sweep_strip(const Task& task, Bits<16>* ring, SweepShared<Rows>& shared,
                                  const Launcher& launcher) {
  constexpr int E = kVector<G>, kVectors = Columns / E, N = Rows * kVectors, kStage = N * Threads;
  constexpr int kAhead = Keep ? Stages - 1 : Stages - 2;  // batches under way beside the one in work
  static_assert(Columns % E == 0 && N <= kWarp && (N & (N - 1)) == 0 && 8 % Rows == 0 && kAhead >= 1);
  static_assert(kVectors * Threads / kWarp <= 4 * kWarp);
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), T = block_size(), lane = t % kWarp, warp = t / kWarp, warps = T / kWarp;
  const int strip = task.block % plan.strips, local_slice = task.block / plan.strips;
  const int64_t slice = task.first_slice + local_slice;
  const int first_row = strip * plan.strip_rows, cols = plan.cols;
  const int end_row = first_row + plan.strip_rows < plan.rows ? first_row + plan.strip_rows : plan.rows;
  const bool aligned = cols % E == 0;
  const G* const gradient = static_cast<const G*>(task.gradient) + slice * plan.slice;
  // A multiplier that is no number puts every element under the policy: where that makes zeros of them, 0 does so.
  const float given = multiplier_of(task);
  const bool usable = given - given == 0.0f || plan.nonfinite != Nonfinite::zero;
  const float multiplier = usable ? given : 0.0f;

  Bits<16>* const own = ring + t;  // vector i of stage s: own[s kStage + i Threads]
  int next_row = first_row, next_stage = 0;
  const auto fetch = [&] {
    Bits<16>* const to = own + next_stage * kStage;
    const G* const from = gradient + int64_t(next_row) * cols + t * E;
    if (aligned) {
      PLUMBLINE_UNROLL
      for (int k = 0; k < Rows; ++k) {
        PLUMBLINE_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          const bool in = next_row + k < end_row && (v * T + t) * E < cols;
          copy16_async(to + (k * kVectors + v) * Threads,
                       in ? static_cast<const void*>(from + int64_t(k) * cols + v * T * E) : task.gradient, in);
        }
      }
    } else {
      for (int i = 0; i < N; ++i) {
        const int k = i / kVectors, col = (i % kVectors * T + t) * E;
        int count = next_row + k < end_row ? cols - col : 0;
        if (core::is_mutant(core::Mutant::last_vector_lost) && count < E) count = 0;
        const auto v = load_elements<G, E>(from + int64_t(k) * cols + i % kVectors * T * E, count, false);
        store<16>(to + i * Threads, pack<Bits<16>>(unpack<G, E>(v)));
      }
    }
    next_row += Rows;
    next_stage = next_stage + 1 == Stages ? 0 : next_stage + 1;
  };
  for (int s = 0; s < kAhead; ++s) {
    if (next_row < end_row) fetch();
    copy_commit();
  }

  // While the first rows are on their way, by a warp that decodes less than the others.
  if (t == T - 1) shared.weights = launcher.weights(task);
  const auto fetch_old = [&](int group) {
    const SlotPlan& slot = slot_of(task, SlotKind::row);
    const uint32_t writes = core::at<const core::TensorClock>(task.state, plan.clock)->writes;
    const int first = first_row + group * kOldRows;
    for (int i = t; i < kOldRows && first + i < end_row; i += T)
      shared.old[group & 1][i] = old_value(slot, task.state, slice, first + i, writes);
  };
  float* const row_average = scratch_at<float>(task, plan.row) + slice * plan.rows;

  float col_sum[Columns], weighted_sum[Columns];
  PLUMBLINE_UNROLL
  for (int i = 0; i < Columns; ++i) col_sum[i] = weighted_sum[i] = 0.0f;
  float squares[Keep ? N : 1][E], before[Keep ? N : 1][E];
  // The columns of a batch whose rows are finished.
  const auto add_columns = [&](const Bits<16>* batch, int parity) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < N; ++i) {
      const float inverse = shared.inverse[parity][i / kVectors];
      float s[E];
      if constexpr (Keep) {
        PLUMBLINE_UNROLL
        for (int e = 0; e < E; ++e) s[e] = before[i][e];
      } else {
        squares_of<G>(batch + i * Threads, multiplier, s);
      }
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e) {
        float &c = col_sum[i % kVectors * E + e], &w = weighted_sum[i % kVectors * E + e];
        c = core::pair(c, s[e]);
        w = core::add_weighted(s[e], inverse, w);
      }
    }
  };

  uint32_t found = 0;
  int stage = 0, stage_before = 0, parity = 0, turn = 0;  // turn: the warp that finishes the batch's first row
  for (int group = 0; first_row + group * kOldRows < end_row; ++group) {
    fetch_old(group);  // ahead of the first barrier of its rows
    const int group_row = first_row + group * kOldRows;
    const int group_end = group_row + kOldRows < end_row ? group_row + kOldRows : end_row;
    for (int batch = group_row; batch < group_end; batch += Rows) {
      if (next_row < end_row) fetch();
      copy_commit();
      const int mine = warp >= turn ? warp - turn : warp - turn + warps;  // row of the batch that this warp finishes
      if (core::is_mutant(core::Mutant::copies_unwaited))
        copy_wait<kAhead + 1>();
      else
        copy_wait<kAhead>();
      Bits<16>* const here = own + stage * kStage;

      float sums[N];
      for (bool again = true; again;) {
        again = false;
        PLUMBLINE_UNROLL
        for (int i = 0; i < N; ++i) {
          float s[E];
          squares_of<G>(here + i * Threads, multiplier, s);
          sums[i] = thread_tree(s);
          again |= !(sums[i] < core::kSquareLimit);
          if constexpr (Keep) {
            PLUMBLINE_UNROLL
            for (int e = 0; e < E; ++e) squares[i][e] = s[e];
          }
        }
        if (again) {  // rare: look closer, and start over when an element was set to 0
          again = false;
          for (int i = 0; i < N; ++i) {
            auto g = unpack<G, E>(load<16>(here + i * Threads));
            again |= clean(g, multiplier, plan.nonfinite == Nonfinite::zero, found);
            store<16>(here + i * Threads, pack<Bits<16>>(g));
          }
        }
      }
      const float sum = warp_trees(sums, lane);
      const int which = tree_of_lane<N>(lane);
      if (lane < N) shared.sums[parity][which / kVectors][which % kVectors * warps + warp] = sum;
      if (!core::is_mutant(core::Mutant::sweep_barrier_lost)) block_barrier();
      for (int k = mine; k < Rows; k += warps) {
        const int row = batch + k;
        const auto four = unpack<float, 4>(load<16>(&shared.sums[parity][k][4 * lane]));
        float part[4];
        PLUMBLINE_UNROLL
        for (int e = 0; e < 4; ++e) part[e] = 4 * lane + e < kVectors * warps ? four.x[e] : 0.0f;
        const float total = warp_tree(thread_tree(part));
        if (lane != 0) continue;
        float inverse = 0.0f;
        if (row < end_row) {
          const auto counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : cols);
          const float r =
              core::perturbed(core::PerturbedStage::row,
                              core::average(shared.old[group & 1][row - group_row], total, counted, shared.weights));
          row_average[row] = core::canonical(r);
          inverse = core::inverse_row(r);
        }
        shared.inverse[parity][k] = inverse;
      }
      const int before_parity = core::is_mutant(core::Mutant::ready_unwaited) ? parity : parity ^ 1;
      if (batch != first_row) add_columns(own + stage_before * kStage, before_parity);
      if constexpr (Keep) {
        PLUMBLINE_UNROLL
        for (int i = 0; i < N; ++i) {
          PLUMBLINE_UNROLL
          for (int e = 0; e < E; ++e) before[i][e] = squares[i][e];
        }
      }
      stage_before = stage;
      stage = stage + 1 == Stages ? 0 : stage + 1;
      parity ^= 1;
      turn = (turn + Rows) % warps;
    }
  }
  block_barrier();
  if (!core::is_mutant(core::Mutant::last_batch_lost)) add_columns(own + stage_before * kStage, parity ^ 1);

  if (found != 0) atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
  launcher.enter(task);
  const int64_t at = (int64_t(local_slice) * plan.strips + strip) * plan.pitch;
  float* const columns = scratch_at<float>(task, plan.partial_col) + at;
  float* const weighted = scratch_at<float>(task, plan.partial_weighted) + at;
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int col = (v * T + t) * E;
    if (col >= cols) continue;  // the row of partials is padded: a whole vector fits
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; e += 4) {
      const int i = v * E + e;
      store<16>(columns + col + e,
                pack<Bits<16>>(Vec<float, 4>{{col_sum[i], col_sum[i + 1], col_sum[i + 2], col_sum[i + 3]}}));
      store<16>(weighted + col + e, pack<Bits<16>>(Vec<float, 4>{{weighted_sum[i], weighted_sum[i + 1],
                                                                  weighted_sum[i + 2], weighted_sum[i + 3]}}));
    }
  }
}

// A launch of strips alone: every block makes the step's scalars itself, in a long chain beside the first rows' way,
// and may write its partial sums at once.
struct SweepLauncher {
  PLUMBLINE_DEVICE core::Weights<float> weights(const Task& task) const {
    const core::StepScalars scalars = begin_step(task);
    if (task.block == 0 && task.first_slice == 0) *scalars_of(task) = scalars;
    return scalars.weights;
  }
  PLUMBLINE_DEVICE void enter(const Task&) const {}
};
template <class G, int Columns, int Rows, int Stages, int Threads, bool Keep>
PLUMBLINE_KERNEL(Threads, 1)
sweep(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, ring);
  PLUMBLINE_SHARED(SweepShared<Rows>, shared);
  sweep_strip<G, Columns, Rows, Stages, Threads, Keep>(open_task(launch, plan_shared), ring, shared, SweepLauncher());
}

}  // namespace plumbline::PLUMBLINE_TARGET
