// Pass 1 of the factored path as sweep.cuh has it, for devices that copy ranges and rows of whole vectors: same bits.
//
// A block takes one strip. Rows go through slots of shared memory, each fetched as one range by a thread that does
// nothing else. A warp owns a whole row: it adds up the squares and makes R and 1/R. Threads that own columns follow
// and give the slot back. Barriers of phases join them, three a slot, so that no warp waits for one that does the same
// work, and all slots are on their way from the first moment on.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/sweep.cuh"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kMaxSlots = 32;

struct StreamShared {
  PhaseBarrier full[kMaxSlots];   // the row is here
  PhaseBarrier ready[kMaxSlots];  // its inverse[] is
  PhaseBarrier empty[kMaxSlots];  // its columns are added up
  PhaseBarrier begun;             // weights are here
  float inverse[kMaxSlots];
  core::Weights<float> weights;
};

// The slot of a row and the phase of its barriers, `step` rows at a time.
struct SlotCursor {
  int slot;
  uint32_t phase = 0;
  PLUMBLINE_DEVICE void advance(int step, int slots) {
    for (slot += step; slot >= slots; slot -= slots) phase ^= 1;
  }
};

template <class G, int E>
PLUMBLINE_DEVICE void squares_at(const Bits<16>* at, float multiplier, float (&s)[E]) {
  const auto g = unpack<G, E>(load<16>(at));
  PLUMBLINE_UNROLL
  for (int e = 0; e < E; ++e) s[e] = core::square(core::widen(g.x[e]) * multiplier);
}

// T over the squares of a row, by a warp; every lane gets it.
template <class G>
PLUMBLINE_DEVICE float row_sum(const Bits<16>* row, int vectors, float multiplier) {
  constexpr int E = kVector<G>, N = 8, kLevels = 5;  // up to 2^kLevels - 1 groups of N x 32 vectors
  const int lane = thread_index() % kWarp;
  float level[kLevels] = {};  // T as a binary counter
  int groups = 0;
  const auto add_group = [&](bool whole) {
    const int first = groups * N * kWarp + lane;
    float sums[N];
    PLUMBLINE_UNROLL
    for (int i = 0; i < N; ++i) {
      float s[E];
      const int at = first + i * kWarp;
      squares_at<G, E>(row + (whole || at < vectors ? at : 0), multiplier, s);
      sums[i] = thread_tree(s);
      if (!whole && at >= vectors) sums[i] = 0.0f;
    }
    float x = tree_over_numbers<N>(warp_trees(sums, lane));
    bool carries = true;
    PLUMBLINE_UNROLL
    for (int l = 0; l < kLevels; ++l) {
      const bool full = groups >> l & 1;
      if (carries && full) x = core::pair(level[l], x);
      if (carries && !full) level[l] = x;
      carries &= full;
    }
    ++groups;
  };
  PLUMBLINE_LOOP
  while ((groups + 1) * N * kWarp <= vectors) add_group(true);
  if (groups * N * kWarp < vectors) add_group(false);
  float sum = 0.0f;
  PLUMBLINE_UNROLL
  for (int l = 0; l < kLevels; ++l)
    if (groups >> l & 1) sum = core::pair(level[l], sum);  // + 0 is exact: no sum here is a negative zero
  return sum;
}

// Rows `warp`, `warp` + `warps`, ... of the strip: R and 1/R. `warps` divides `slots`, so that a slot's rows are all of
// one warp, which then misses no phase.
template <class G>
PLUMBLINE_DEVICE void stream_rows(const Task& task, Bits<16>* ring, int slots, int64_t slice, int first_row, int rows,
                                  float multiplier, int warp, int warps, StreamShared& shared) {
  constexpr int E = kVector<G>;
  const TensorPlan& plan = task.plan;
  const int lane = thread_index() % kWarp, cols = plan.cols, vectors = cols / E;
  const SlotPlan& slot = slot_of(task, SlotKind::row);
  const uint32_t writes = core::at<const core::TensorClock>(task.state, plan.clock)->writes;
  float* const average = scratch_at<float>(task, plan.row) + slice * plan.rows + first_row;
  const auto counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : cols);
  SlotCursor at = {warp};
  at.advance(0, slots);
  uint32_t found = 0;
  float old = 0.0f;  // lane l: R before the step of the l-th next of these rows
  core::Weights<float> weights = {};
  for (int i = warp, turn = 0; i < rows; i += warps, ++turn) {
    if (turn % kWarp == 0) {
      const int mine = i + lane * warps;
      if (mine < rows) old = old_value(slot, task.state, slice, first_row + mine, writes);
      if (turn == 0) {
        wait_for_phase(shared.begun, 0);
        weights = shared.weights;
      }
    }
    Bits<16>* const row = ring + at.slot * vectors;
    if (!core::is_mutant(core::Mutant::copies_unwaited)) wait_for_phase(shared.full[at.slot], at.phase);
    float sum = 0.0f;
    for (bool again = true; again;) {
      sum = row_sum<G>(row, vectors, multiplier);
      if (sum < core::kSquareLimit) break;
      bool changed = false;  // rare: look closer, and start over when an element was set to 0
      for (int v = lane; v < vectors; v += kWarp) {
        auto g = unpack<G, E>(load<16>(row + v));
        changed |= clean(g, multiplier, plan.nonfinite == Nonfinite::zero, found);
        store<16>(row + v, pack<Bits<16>>(g));
      }
      store_before_ranges();
      again = warp_max(changed) != 0;
    }
    const float r =
        core::perturbed(core::PerturbedStage::row, core::average(shuffle(old, turn % kWarp), sum, counted, weights));
    warp_barrier();
    if (lane == 0) {
      shared.inverse[at.slot] = core::inverse_row(r);
      arrive(shared.ready[at.slot]);
      average[i] = core::canonical(r);
    }
    at.advance(warps, slots);
  }
  if (found != 0) atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
}

// Column sums by thread t of T.
template <class G, int Columns>
PLUMBLINE_DEVICE void stream_columns(const Task& task, const Bits<16>* ring, int slots, int64_t partials, int rows,
                                     float multiplier, int t, int T, StreamShared& shared) {
  constexpr int E = kVector<G>, kVectors = Columns / E;
  const TensorPlan& plan = task.plan;
  const int cols = plan.cols, vectors = cols / E;
  float col_sum[kVectors][E], weighted_sum[kVectors][E];
  int own[kVectors];  // behind the last column a thread repeats the first one's work
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    own[v] = v * T + t < vectors ? v * T + t : 0;
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; ++e) col_sum[v][e] = weighted_sum[v][e] = 0.0f;
  }
  SlotCursor at = {0};
  const int last = core::is_mutant(core::Mutant::last_batch_lost) ? rows - 1 : rows;
  PLUMBLINE_LOOP
  for (int i = 0; i < last; ++i) {
    const Bits<16>* const row = ring + at.slot * vectors;
    wait_for_phase(shared.ready[at.slot], at.phase);
    const float inverse = shared.inverse[at.slot];
    PLUMBLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float s[E];
      squares_at<G, E>(row + own[v], multiplier, s);
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e) {
        col_sum[v][e] = core::pair(col_sum[v][e], s[e]);
        weighted_sum[v][e] = core::add_weighted(s[e], inverse, weighted_sum[v][e]);
      }
    }
    warp_barrier();
    if (t % kWarp == 0) arrive(shared.empty[at.slot]);
    at.advance(1, slots);
  }
  float* const columns = scratch_at<float>(task, plan.partial_col) + partials;
  float* const weighted = scratch_at<float>(task, plan.partial_weighted) + partials;
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int col = (v * T + t) * E;
    if (col >= cols) continue;
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; e += 4) {
      const auto four = [&](const float(&x)[E]) {
        return pack<Bits<16>>(Vec<float, 4>{{x[e], x[e + 1], x[e + 2], x[e + 3]}});
      };
      store<16>(columns + col + e, four(col_sum[v]));
      store<16>(weighted + col + e, four(weighted_sum[v]));
    }
  }
}

// Columns per thread; the last warp fetches, RowWarps before it own rows, the others columns.
template <class G, int Columns, int RowWarps, int RingBytes, int Threads>
PLUMBLINE_KERNEL(Threads, 1)
stream_sweep(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(StreamShared, shared);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, ring);
  const int t = thread_index(), warp = t / kWarp, column_warps = block_size() / kWarp - RowWarps - 1;
  if (t < kMaxSlots) {
    prepare_barrier(shared.full[t], 1);
    prepare_barrier(shared.ready[t], 1);
    prepare_barrier(shared.empty[t], column_warps);
    if (t == 0) prepare_barrier(shared.begun, 1);
  }
  const Item item = own_item(launch);
  const TensorPlan& plan = copy_plan(launch, item, plan_shared);
  block_barrier();
  const int strip = item.block % plan.strips, local_slice = item.block / plan.strips;
  const int64_t slice = item.first_slice + local_slice;
  const int first_row = strip * plan.strip_rows, left = plan.rows - first_row;
  const int rows = left < plan.strip_rows ? left : plan.strip_rows;
  const int row_bytes = plan.cols * int(sizeof(G)), most = RingBytes / row_bytes;
  const int room = most < kMaxSlots ? most : kMaxSlots;
  int row_warps = 1, slots = 0;
  for (int w = room < RowWarps ? room : RowWarps; w > RowWarps / 2; --w) {
    if (room / w * w <= slots) continue;
    row_warps = w;
    slots = room / w * w;
  }
  const bool fetches = t == block_size() - kWarp;
  const int64_t first_element = slice * plan.slice + int64_t(first_row) * plan.cols;
  // While the launch before still runs, the first rows can come as far as the cache.
  if (fetches && launch.pointers == nullptr)
    expect_reads(static_cast<const G*>(launch.own.gradient) + first_element, (rows < slots ? rows : slots) * row_bytes);
  begin_grid();
  const Task task = task_of(launch, item, plan);
  if (warp == column_warps + RowWarps) {
    if (!fetches) return;
    const G* from = static_cast<const G*>(task.gradient) + first_element;
    const auto fetch = [&](int slot) {
      copy_range_async(ring + slot * (row_bytes / 16), from, row_bytes, shared.full[slot]);
      from += plan.cols;
    };
    int i = 0;
    for (; i < rows && i < slots; ++i) fetch(i);
    // Every block makes the step's scalars itself while the first rows are on their way: a long chain.
    const core::StepScalars scalars = begin_step(task);
    shared.weights = scalars.weights;
    arrive(shared.begun);
    if (task.block == 0 && task.first_slice == 0) *scalars_of(task) = scalars;
    for (SlotCursor at = {0}; i < rows; ++i) {
      wait_for_phase(shared.empty[at.slot], at.phase);
      fetch(at.slot);
      at.advance(1, slots);
    }
    return;
  }
  // A multiplier that is no number puts every element under the policy: where that makes zeros of them, 0 does so.
  const float given = multiplier_of(task);
  const bool usable = given - given == 0.0f || plan.nonfinite != Nonfinite::zero;
  const float multiplier = usable ? given : 0.0f;
  if (warp >= column_warps) {
    if (warp - column_warps < row_warps)
      stream_rows<G>(task, ring, slots, slice, first_row, rows, multiplier, warp - column_warps, row_warps, shared);
  } else {
    const int64_t partials = (int64_t(local_slice) * plan.strips + strip) * plan.pitch;
    stream_columns<G, Columns>(task, ring, slots, partials, rows, multiplier, t, column_warps * kWarp, shared);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
