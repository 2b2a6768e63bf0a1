// Many tensors in one launch, as tickets.cuh has it, over the roles of stream.cuh: strips go on through one ring of
// rows, so that the rows of the next one come while those of one are in work. Tiles of finish, long chains of round
// trips, go on beside them: some warps of every block claim them from a table of their own and wait for their strips.
//
// No deadlock: every block claims strips and tiles in rising order and does each of the two in that order, with warps
// that wait for the others only through what follows. Let s be the first strip that is not done. It is claimed by a
// block that runs, or will be next, and waits at most for tiles of tensors before its own. The first of these that is
// not done waits for strips of its tensor, which come before s and so are done, and for tiles before it, which are
// done.
#pragma once
#include "cuda/kernels/stream.cuh"
#include "cuda/kernels/tickets.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kClaimed = 3;  // strips of a block at a time: one is fetched while one is in work

// A claimed strip, as the block's warps see it.
struct Told {
  PlanShared plan;
  alignas(16) std::byte item[sizeof(Item)];  // blocks = 0: there are no more
  alignas(16) std::byte pointers[sizeof(TensorPointers)];
  Strip strip;
  core::Weights<float> weights;
  uint32_t left_ring;
  PLUMBLINE_DEVICE Item ticket() const {
    Item ticket;
    std::memcpy(&ticket, item, sizeof ticket);
    return ticket;
  }
  PLUMBLINE_DEVICE Task task(const Launch& launch) const {
    const Item ticket = this->ticket();
    TensorPointers of;
    std::memcpy(&of, pointers, sizeof of);
    return {*reinterpret_cast<const TensorPlan*>(plan.bytes),
            launch.state,
            launch.scratch,
            of.parameter,
            of.gradient,
            ticket.first_slice,
            ticket.block,
            ticket.blocks,
            launch.average};
  }
};
struct StreamTicketsShared {
  RingShared ring;
  PhaseBarrier told[kClaimed], taken[kClaimed];  // taken: by all warps of rows and columns
  Told strip[kClaimed];
  PlanShared tile_plan;
  alignas(16) std::byte tile[sizeof(Item)];
};
// Strip number `turn` of the block.
PLUMBLINE_DEVICE uint32_t phase_of_turn(uint32_t turn) { return turn / kClaimed & 1; }

template <int Batch>
PLUMBLINE_DEVICE void claim_strips(const Launch& launch, TicketCounters& counters, StreamTicketsShared& shared) {
  const int lane = thread_index() % kWarp;
  // Once the block has done a strip, the tiles are told.
  const auto end_strip = [&](uint32_t turn) {
    const int at = int(turn % kClaimed);
    wait_for_phase(shared.taken[at], phase_of_turn(turn));
    const Task task = shared.strip[at].task(launch);
    if (lane == 0) signal(scratch_at<uint32_t>(task, task.plan.arrivals));
    warp_barrier();
  };
  uint32_t place = 0, turn = 0;
  for (bool more = true; more; ++turn) {
    const int at = int(turn % kClaimed);
    Told& told = shared.strip[at];
    if (turn >= kClaimed) end_strip(turn - kClaimed);
    const uint32_t ticket = shuffle(lane == 0 ? atomic_add(&counters.next, uint32_t(1)) : 0u, 0);
    more = ticket < uint32_t(launch.strip_count);
    const Item item = more ? launch.items[ticket] : Item{};
    if (more) {
      const auto* const from = reinterpret_cast<const std::byte*>(launch.plans + item.tensor);
      for (int i = lane * 8; i < int(sizeof(TensorPlan)); i += kWarp * 8)
        store<8>(told.plan.bytes + i, load<8>(from + i));
    }
    warp_barrier();
    if (lane == 0) {
      if (more) {
        const TensorPlan& plan = *reinterpret_cast<const TensorPlan*>(told.plan.bytes);
        const Task task = task_of(launch, item, plan);
        Strip strip = strip_of(plan, item, place);
        // round trips to memory, side by side
        strip.multiplier = strip_multiplier(task);
        const core::Weights<float> weights = scalars_of(task)->weights;
        const uint32_t left_ring = read_count(&counters.left_ring);
        const TensorPointers pointers = {task.parameter, task.gradient};
        std::memcpy(told.pointers, &pointers, sizeof pointers);
        told.strip = strip;
        told.weights = weights;
        told.left_ring = left_ring;
        place += uint32_t(padded_rows<Batch>(strip.rows));
      }
      std::memcpy(told.item, &item, sizeof item);
      arrive(shared.told[at]);
    }
  }
  for (uint32_t left = turn < kClaimed ? 0 : turn - kClaimed; left + 1 < turn; ++left) end_strip(left);
}

// Tile after tile, by the first threads of the block.
template <class Team>
PLUMBLINE_DEVICE void take_tiles(const Launch& launch, TicketCounters& counters, StreamTicketsShared& shared) {
  const int t = thread_index();
  const bool claims = t == Team::size() - 1;
  Item next;
  const auto claim = [&] {
    const uint32_t ticket = uint32_t(launch.strip_count) + atomic_add(&counters.next_tile, uint32_t(1));
    next = ticket < uint32_t(launch.item_count) ? launch.items[ticket] : Item{};
  };
  if (claims) claim();
  for (;;) {
    if (claims) std::memcpy(shared.tile, &next, sizeof next);
    Team::barrier();
    Item item;
    std::memcpy(&item, shared.tile, sizeof item);
    if (item.blocks == 0) return;
    if (claims) claim();  // ahead of the work, so that it is known when this is done
    const auto* const from = reinterpret_cast<const std::byte*>(launch.plans + item.tensor);
    for (int i = t * 8; i < int(sizeof(TensorPlan)); i += Team::size() * 8)
      store<8>(shared.tile_plan.bytes + i, load<8>(from + i));
    Team::barrier();
    take_tile<Team>(task_of(launch, item, *reinterpret_cast<const TensorPlan*>(shared.tile_plan.bytes)), counters);
  }
}

template <class G, int Batch>
PLUMBLINE_DEVICE void fetch_strips(const Launch& launch, const Ring& ring, StreamTicketsShared& shared) {
  const int batches = ring.slots / Batch;
  for (uint32_t turn = 0;; ++turn) {
    wait_for_phase(shared.told[turn % kClaimed], phase_of_turn(turn));
    const Told& told = shared.strip[turn % kClaimed];
    if (told.ticket().blocks == 0) return;
    const Task task = told.task(launch);
    const int64_t cols = task.plan.cols;
    const int rows = told.strip.rows;
    const G* const from = static_cast<const G*>(task.gradient) + told.strip.slice * task.plan.slice +
                          int64_t(told.strip.first_row) * cols;
    RingCursor at(told.strip.place / uint32_t(Batch), batches);
    for (int i = 0; i < rows; i += Batch) {
      wait_for_phase(ring.shared.empty[at.at], at.phase ^ 1);
      fetch_batch<G, Batch>(from + i * cols, cols, rows - i, ring, at.at);
      at.advance(1, batches);
    }
  }
}

// The first TileWarps take tiles; the last warp claims, the one before it fetches, RowWarps before that own rows, the
// others Columns columns per thread, Batch rows at a time, of rows of at most Pitch vectors.
template <class G, int Columns, int TileWarps, int RowWarps, int Batch, int Pitch, int Slots, int Threads>
PLUMBLINE_KERNEL(Threads, 1)
stream_tickets(const Launch launch) {
  static_assert(RowWarps % Batch == 0 && Slots % RowWarps == 0 && Slots <= kMaxSlots);
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, memory);
  PLUMBLINE_SHARED(StreamTicketsShared, shared);
  const int t = thread_index(), warp = t / kWarp, warps = block_size() / kWarp;
  const int first_row_warp = warps - 2 - RowWarps, column_warps = first_row_warp - TileWarps;
  prepare_ring(shared.ring, Batch, column_warps);
  if (t < kClaimed) {
    prepare_barrier(shared.told[t], 1);
    prepare_barrier(shared.taken[t], column_warps + RowWarps);
  }
  block_barrier();
  begin_grid();
  TicketCounters& counters = *core::at<TicketCounters>(launch.scratch, launch.plans[launch.item.tensor].tickets);
  const Ring ring = {memory, Pitch, Slots, shared.ring};
  if (warp < TileWarps) {
    take_tiles<FirstThreads<TileWarps * kWarp>>(launch, counters, shared);
  } else if (warp == warps - 1) {
    claim_strips<Batch>(launch, counters, shared);
  } else if (warp == warps - 2) {
    if (t % kWarp == 0) fetch_strips<G, Batch>(launch, ring, shared);
    warp_barrier();
  } else {
    for (uint32_t turn = 0;; ++turn) {
      const int at = int(turn % kClaimed);
      wait_for_phase(shared.told[at], phase_of_turn(turn));
      const Told& told = shared.strip[at];
      if (told.ticket().blocks == 0) break;
      const Task task = told.task(launch);
      if (warp >= first_row_warp) {
        stream_rows<G, Batch>(task, told.strip, ring, warp - first_row_warp, RowWarps, [&] { return told.weights; });
      } else {
        stream_columns<G, Batch, Columns>(task, told.strip, ring, t - TileWarps * kWarp, column_warps * kWarp, [&] {
          const auto least = uint32_t(task.plan.ring_after);
          if (told.left_ring >= least || core::is_mutant(core::Mutant::ring_unwaited)) return;
          if (t % kWarp == 0) wait_for(&counters.left_ring, least);
          warp_barrier();
        });
      }
      warp_barrier();
      if (t % kWarp == 0) arrive(shared.taken[at]);
    }
  }
  block_barrier();
  if (t == 0 && signal(&counters.ended) + 1 == uint32_t(grid_size())) counters = {};
}

}  // namespace plumbline::PLUMBLINE_TARGET
