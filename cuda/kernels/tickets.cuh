// The factored path of many tensors in one launch: blocks claim tickets, strips of the sweep and tiles of finish, in
// the order of a table until none is left.
//
// A tile waits for the strips of its tensor; a strip, before it writes partial sums, for the tensors that lay in its
// place of the ring; the last tile of a tensor for the tensors before it. The table holds all of these before it
// (run_tickets.h), and a block does its tickets in order, so the smallest that is not done is in work and waits for
// nothing: no deadlock, however few blocks run at a time.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/finish.cuh"
#include "cuda/kernels/sweep.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// The scalars of a step as its strips need them.
PLUMBLINE_KERNEL(kWarp, 1)
begin_tickets(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  const Task task = open_task(launch, plan_shared);
  if (thread_index() == 0) *scalars_of(task) = begin_step(task);
}

// Before every step where no norm is carried.
inline constexpr int kGroupThreads = 256;
PLUMBLINE_KERNEL(kGroupThreads, 4)
group_norm(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(GroupNorm, shared);
  const Task task = open_task(launch, plan_shared);
  group_sums_of_any_type(task, task.block, task.plan.slices * task.plan.norm_sums(), task.blocks, shared);
}

// What a strip among tickets asks for.
struct TicketLauncher {
  const TicketCounters& counters;
  const uint32_t& left_ring;  // as the block saw it when the strip began: mostly enough
  PLUMBLINE_DEVICE core::Weights<float> weights(const Task& task) const { return scalars_of(task)->weights; }
  PLUMBLINE_DEVICE void enter(const Task& task) const {
    const auto least = uint32_t(task.plan.ring_after);
    if (left_ring >= least || core::is_mutant(core::Mutant::ring_unwaited)) return;
    if (thread_index() == 0) wait_for(&counters.left_ring, least);
    block_barrier();
  }
};

// One tile of finish, number task.block of task.blocks. The last one of a tensor takes it out of the ring.
template <class Team>
PLUMBLINE_FUNCTION void take_tile(const Task& task, TicketCounters& counters) {
  PLUMBLINE_SHARED(FinishShared, shared);
  const TensorPlan& plan = task.plan;
  uint32_t* const arrivals = scratch_at<uint32_t>(task, plan.arrivals);
  const bool first = thread_index() == 0;
  finish_tile<Team>(task, shared, [&] {
    if (first && !core::is_mutant(core::Mutant::strips_unwaited))
      wait_for(arrivals, uint32_t(plan.slices * plan.strips));
    Team::barrier();
  });
  Team::barrier();
  if (!first || signal(arrivals + 1) + 1 != uint32_t(task.blocks)) return;
  arrivals[0] = arrivals[1] = 0;
  wait_for(&counters.left_ring, uint32_t(plan.ring_order));
  signal(&counters.left_ring);
}

template <int Rows>
struct TicketShared {
  PlanShared plan;
  alignas(16) std::byte next[sizeof(Item)];  // blocks = 0: there are no more
  uint32_t left_ring;
  SweepShared<Rows> sweep;
};

template <class G, int Columns, int Rows, int Stages, int Threads, bool Keep>
PLUMBLINE_KERNEL(Threads, 1)
sweep_tickets(const Launch launch) {
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, ring);
  PLUMBLINE_SHARED(TicketShared<Rows>, shared);
  begin_grid();
  TicketCounters& counters = *core::at<TicketCounters>(launch.scratch, launch.plans[launch.item.tensor].tickets);
  // Round trips to memory, by threads of different warps that have less to do than others when a strip begins.
  const int t = thread_index(), first = 0, claimer = block_size() - 1 - kWarp, watcher = claimer - kWarp;
  const auto claim = [&] {
    const uint32_t ticket = atomic_add(&counters.next, uint32_t(1));
    const Item item = ticket < uint32_t(launch.item_count) ? launch.items[ticket] : Item{};
    std::memcpy(shared.next, &item, sizeof item);
  };
  if (t == claimer) claim();
  int64_t swept = -1;  // arrivals of the strip before, of which nobody has been told
  for (;;) {
    block_barrier();
    Item item;
    std::memcpy(&item, shared.next, sizeof item);
    if (item.blocks != 0) copy_plan(launch, item, shared.plan);
    block_barrier();
    if (t == first && swept >= 0) signal(core::at<uint32_t>(launch.scratch, swept));
    if (item.blocks == 0) break;
    if (t == claimer) claim();  // ahead of the work, so that it is known when this is done
    const Task task = task_of(launch, item, *reinterpret_cast<const TensorPlan*>(shared.plan.bytes));
    swept = -1;
    if (item.tile != 0) {
      take_tile<WholeBlock>(task, counters);
      continue;
    }
    if (t == watcher) shared.left_ring = read_count(&counters.left_ring);
    sweep_strip<G, Columns, Rows, Stages, Threads, Keep>(task, ring, shared.sweep,
                                                         TicketLauncher{counters, shared.left_ring});
    swept = task.plan.arrivals;
  }
  if (t == first && signal(&counters.ended) + 1 == uint32_t(grid_size())) counters = {};
}

}  // namespace plumbline::PLUMBLINE_TARGET
