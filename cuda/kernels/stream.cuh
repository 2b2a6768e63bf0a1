// Pass 1 of the factored path as sweep.cuh has it, for devices that copy ranges and rows of whole vectors: same bits.
//
// A block takes one strip. Rows go through slots of shared memory, each fetched as one range by a thread that does
// nothing else. A warp owns a whole row: it adds up the squares and makes R and 1/R. Threads that own columns follow, a
// batch of rows at a time, and give its slots back. Barriers of phases join them, so that no warp waits for one that
// does the same work, and all slots are on their way from the first moment on.
#pragma once
#include <type_traits>

#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/sweep.cuh"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kMaxSlots = 32;

// Every batch of rows that a strip begins goes through all three, also where the strip has fewer rows.
struct RingShared {
  PhaseBarrier full[kMaxSlots];   // by slot: the row is here
  PhaseBarrier ready[kMaxSlots];  // by batch: its rows' inverse[] are
  PhaseBarrier empty[kMaxSlots];  // by batch: its columns are added up
  alignas(16) float inverse[kMaxSlots];
};
struct Ring {
  Bits<16>* memory;
  int pitch;  // vectors of a slot
  int slots;  // a multiple of the warps that own rows, and of a batch
  RingShared& shared;
};
PLUMBLINE_DEVICE void prepare_ring(RingShared& ring, int batch, int column_warps) {
  const int t = thread_index();
  if (t >= kMaxSlots) return;
  prepare_barrier(ring.full[t], 1);
  prepare_barrier(ring.ready[t], batch);
  prepare_barrier(ring.empty[t], column_warps);
}

// Rows of one strip; the first one lies in slot `place` modulo the slots, `place` rows having gone through the ring.
struct Strip {
  int64_t slice, partials;  // the matrix; where its partial sums lie
  int32_t first_row, rows;
  uint32_t place;
  float multiplier;
};
PLUMBLINE_DEVICE Strip strip_of(const TensorPlan& plan, const Item& item, uint32_t place) {
  const int strip = item.block % plan.strips, local_slice = item.block / plan.strips;
  const int first_row = strip * plan.strip_rows, left = plan.rows - first_row;
  Strip s;
  s.slice = item.first_slice + local_slice;
  s.partials = (int64_t(local_slice) * plan.strips + strip) * plan.pitch;
  s.first_row = first_row;
  s.rows = left < plan.strip_rows ? left : plan.strip_rows;
  s.place = place;
  return s;
}
// A multiplier that is no number puts every element under the policy: where that makes zeros of them, 0 does so.
PLUMBLINE_DEVICE float strip_multiplier(const Task& task) {
  const float given = multiplier_of(task);
  const bool usable = given - given == 0.0f || task.plan.nonfinite != Nonfinite::zero;
  return usable ? given : 0.0f;
}
// Rows that a strip takes from the ring.
template <int Batch>
PLUMBLINE_DEVICE int padded_rows(int rows) {
  return (rows + Batch - 1) / Batch * Batch;
}

// A slot or batch of the ring and the phase of its barriers, `step` of them (at most all) at a time.
struct RingCursor {
  int at;
  uint32_t phase;
  PLUMBLINE_DEVICE RingCursor(uint32_t place, int size)
      : at(int(place % uint32_t(size))), phase(place / uint32_t(size) & 1) {}
  PLUMBLINE_DEVICE void advance(int step, int size) {
    at += step;
    if (at >= size) at -= size, phase ^= 1;
  }
};

// Scaled: with a multiplier other than 1, which leaves every bit as it is.
template <class G, bool Scaled, int E>
PLUMBLINE_DEVICE void squares_at(const Bits<16>& words, float multiplier, float (&s)[E]) {
  float g[E];
  widen_all<G>(words, g);
  PLUMBLINE_UNROLL
  for (int e = 0; e < E; ++e) s[e] = core::square(Scaled ? g[e] * multiplier : g[e]);
}

// T over the squares of a row, by a warp; every lane gets it. A lane has vectors side by side, so that the lower levels
// are its own; it takes them in an order of its own, which keeps lanes out of each other's banks and changes no sum.
template <class G, bool Scaled>
PLUMBLINE_DEVICE float row_sum(const Bits<16>* row, int vectors, float multiplier) {
  constexpr int E = kVector<G>, N = 8, kLevels = 5;  // up to 2^kLevels - 1 groups of N x 32 vectors
  const int lane = thread_index() % kWarp, swap = lane % N;
  float level[kLevels] = {};  // T as a binary counter
  int groups = 0;
  const auto add_group = [&](bool whole) {
    const int first = (groups * kWarp + lane) * N;
    float sums[N];
    PLUMBLINE_UNROLL
    for (int i = 0; i < N; ++i) {
      const int at = first + (i ^ swap);
      const bool in = whole || at < vectors;
      float s[E];
      squares_at<G, Scaled>(load<16>(row + (in ? at : 0)), multiplier, s);
      sums[i] = core::from_bits(core::to_bits(thread_tree(s)) & (0u - uint32_t(in)));  // no branch a vector
    }
    float x = warp_tree(thread_tree(sums));
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

// The strip's rows in slots `warp`, `warp` + `warps`, ...: R and 1/R. `warps` divides the slots, so that a slot's rows
// are all of one warp, which then misses no phase. get_weights() comes when the weights are wanted.
template <class G, int Batch, class GetWeights>
PLUMBLINE_DEVICE void stream_rows(const Task& task, const Strip& strip, const Ring& ring, int warp, int warps,
                                  const GetWeights& get_weights) {
  constexpr int E = kVector<G>;
  const TensorPlan& plan = task.plan;
  RingShared& shared = ring.shared;
  const int lane = thread_index() % kWarp, cols = plan.cols, vectors = cols / E, rows = strip.rows;
  const int first = int((uint32_t(warp + warps) - strip.place % uint32_t(warps)) % uint32_t(warps));
  const float multiplier = strip.multiplier;
  const SlotPlan& slot = slot_of(task, SlotKind::row);
  const uint32_t writes = core::at<const core::TensorClock>(task.state, plan.clock)->writes;
  float* const average = scratch_at<float>(task, plan.row) + strip.slice * plan.rows + strip.first_row;
  const auto counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : cols);
  RingCursor at(strip.place + uint32_t(first), ring.slots);
  uint32_t found = 0;
  float old = 0.0f;  // lane l: R before the step of the l-th next of these rows
  core::Weights<float> weights = {};
  PLUMBLINE_LOOP
  for (int i = first, turn = 0; i < padded_rows<Batch>(rows); i += warps, ++turn) {
    if (turn % kWarp == 0) {
      const int mine = i + lane * warps;
      if (mine < rows) old = old_value(slot, task.state, strip.slice, strip.first_row + mine, writes);
      if (turn == 0) weights = get_weights();
    }
    Bits<16>* const row = ring.memory + at.at * ring.pitch;
    if (!core::is_mutant(core::Mutant::copies_unwaited)) wait_for_phase(shared.full[at.at], at.phase);
    float r = 0.0f;
    if (i < rows) {
      float sum = 0.0f;
      for (bool again = true; again;) {
        sum = multiplier == 1.0f ? row_sum<G, false>(row, vectors, multiplier)
                                 : row_sum<G, true>(row, vectors, multiplier);
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
      r = core::perturbed(core::PerturbedStage::row, core::average(shuffle(old, turn % kWarp), sum, counted, weights));
    }
    warp_barrier();
    if (lane == 0) {
      shared.inverse[at.at] = core::inverse_row(r);
      arrive(shared.ready[at.at / Batch]);
      if (i < rows) average[i] = core::canonical(r);
    }
    at.advance(warps, ring.slots);
  }
  if (found != 0) atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));
}

// Column sums by thread t of T; enter() comes before partial sums are written.
template <class G, int Batch, int Columns, class Enter>
PLUMBLINE_DEVICE void stream_columns(const Task& task, const Strip& strip, const Ring& ring, int t, int T,
                                     const Enter& enter) {
  constexpr int E = kVector<G>, kVectors = Columns / E;
  const TensorPlan& plan = task.plan;
  RingShared& shared = ring.shared;
  const int cols = plan.cols, vectors = cols / E, batches = ring.slots / Batch;
  const float multiplier = strip.multiplier;
  float col_sum[kVectors][E], weighted_sum[kVectors][E];
  int own[kVectors];  // behind the last column a thread repeats the first one's work
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    own[v] = v * T + t < vectors ? v * T + t : 0;
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; ++e) col_sum[v][e] = weighted_sum[v][e] = 0.0f;
  }
  RingCursor at(strip.place / uint32_t(Batch), batches);
  const auto add_row = [&](auto scaled, const auto& words, float inverse) {
    PLUMBLINE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float s[E];
      squares_at<G, scaled.value>(words[v], multiplier, s);
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e) {
        col_sum[v][e] = core::pair(col_sum[v][e], s[e]);
        weighted_sum[v][e] = core::add_weighted(s[e], inverse, weighted_sum[v][e]);
      }
    }
  };
  const int counted = core::is_mutant(core::Mutant::last_batch_lost) ? strip.rows - 1 : strip.rows;
  PLUMBLINE_LOOP
  for (int i = 0; i < strip.rows; i += Batch) {
    const int first = at.at * Batch;
    const Bits<16>* const row = ring.memory + first * ring.pitch;
    Bits<16> words[Batch][kVectors];
    Bits<4 * Batch> inverse = {};
    if (core::is_mutant(core::Mutant::ready_unwaited)) inverse = load<4 * Batch>(shared.inverse + first);
    wait_for_phase(shared.ready[at.at], at.phase);
    if (!core::is_mutant(core::Mutant::ready_unwaited)) inverse = load<4 * Batch>(shared.inverse + first);
    PLUMBLINE_UNROLL
    for (int k = 0; k < Batch; ++k) {
      PLUMBLINE_UNROLL
      for (int v = 0; v < kVectors; ++v) words[k][v] = load<16>(row + k * ring.pitch + own[v]);
    }
    PLUMBLINE_UNROLL
    for (int k = 0; k < Batch; ++k) {
      if (i + k >= counted) break;
      if (multiplier == 1.0f)
        add_row(std::false_type(), words[k], core::from_bits(inverse.word[k]));
      else
        add_row(std::true_type(), words[k], core::from_bits(inverse.word[k]));
    }
    warp_barrier();
    if (t % kWarp == 0) arrive(shared.empty[at.at]);
    at.advance(1, batches);
  }
  enter();
  float* const columns = scratch_at<float>(task, plan.partial_col) + strip.partials;
  float* const weighted = scratch_at<float>(task, plan.partial_weighted) + strip.partials;
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

// Fetches the batch that begins with row i of a strip, by one thread.
template <class G, int Batch>
PLUMBLINE_DEVICE void fetch_batch(const G* row, int64_t cols, int rows_left, const Ring& ring, int batch) {
  PLUMBLINE_UNROLL
  for (int k = 0; k < Batch; ++k) {
    const int slot = batch * Batch + k;
    if (k < rows_left)
      copy_range_async(ring.memory + slot * ring.pitch, row + k * cols, int(cols * int64_t(sizeof(G))),
                       ring.shared.full[slot]);
    else
      arrive(ring.shared.full[slot]);
  }
}

struct StreamShared {
  RingShared ring;
  PhaseBarrier begun;  // weights are here
  core::Weights<float> weights;
};

// Columns per thread; the last warp fetches, RowWarps before it own rows, the others columns, Batch rows at a time.
template <class G, int Columns, int RowWarps, int Batch, int RingBytes, int Threads>
PLUMBLINE_KERNEL(Threads, 1)
stream_sweep(const Launch launch) {
  static_assert(RowWarps % Batch == 0 && (Batch & (Batch - 1)) == 0);
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(StreamShared, shared);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, memory);
  const int t = thread_index(), warp = t / kWarp, column_warps = block_size() / kWarp - RowWarps - 1;
  prepare_ring(shared.ring, Batch, column_warps);
  if (t == 0) prepare_barrier(shared.begun, 1);
  const Item item = own_item(launch);
  const TensorPlan& plan = copy_plan(launch, item, plan_shared);
  block_barrier();
  const int row_bytes = plan.cols * int(sizeof(G)), most = RingBytes / row_bytes;
  const int room = most < kMaxSlots ? most : kMaxSlots;
  const int most_warps = room < RowWarps ? room / Batch * Batch : RowWarps;
  int row_warps = most_warps, slots = 0;
  for (int w = most_warps; 2 * w > most_warps; w -= Batch) {
    if (room / w * w <= slots) continue;
    row_warps = w;
    slots = room / w * w;
  }
  const Ring ring = {memory, row_bytes / 16, slots, shared.ring};
  const bool fetches = t == block_size() - kWarp;
  Strip strip = strip_of(plan, item, 0);
  const int64_t first_element = strip.slice * plan.slice + int64_t(strip.first_row) * plan.cols;
  // While the launch before still runs, the first rows can come as far as the cache.
  if (fetches && launch.pointers == nullptr)
    expect_reads(static_cast<const G*>(launch.own.gradient) + first_element,
                 (strip.rows < slots ? strip.rows : slots) * row_bytes);
  begin_grid();
  const Task task = task_of(launch, item, plan);
  if (warp == column_warps + RowWarps) {
    if (!fetches) return;
    const G* const from = static_cast<const G*>(task.gradient) + first_element;
    RingCursor at(0, slots / Batch);
    for (int i = 0;; i += Batch) {
      const bool under_way = i == slots || (i < slots && i >= strip.rows);
      if (under_way && task.block == 0 && task.first_slice == 0) *scalars_of(task) = begin_step(task);
      if (i >= strip.rows) return;
      wait_for_phase(shared.ring.empty[at.at], at.phase ^ 1);
      fetch_batch<G, Batch>(from + int64_t(i) * plan.cols, plan.cols, strip.rows - i, ring, at.at);
      at.advance(1, slots / Batch);
    }
  }
  // Every block makes the weights itself while the first rows are on their way: a long chain, by a thread that has
  // nothing to do until then.
  if (t == 0) {
    shared.weights = begin_step(task).weights;
    arrive(shared.begun);
  }
  strip.multiplier = strip_multiplier(task);
  if (warp >= column_warps) {
    if (warp - column_warps < row_warps)
      stream_rows<G, Batch>(task, strip, ring, warp - column_warps, row_warps, [&] {
        wait_for_phase(shared.begun, 0);
        return shared.weights;
      });
  } else {
    stream_columns<G, Batch, Columns>(task, strip, ring, t, column_warps * kWarp, [] {});
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
