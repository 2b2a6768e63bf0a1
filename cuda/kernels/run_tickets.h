// Launches of tensors that are stepped by tickets, and the table of these.
#pragma once
#include "cuda/kernels/run.h"
#include "cuda/kernels/stream_tickets.cuh"
#include "cuda/kernels/tickets.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// Strips tensor by tensor. The tiles of finish follow their tensor's last strip at a distance of `lag` tickets, by when
// its strips are likely done, a few behind every strip of others; sooner where a tensor needs the place in the ring.
inline std::vector<Item> ticket_table(const Group& group, size_t lag) {
  constexpr int kTilesAtOnce = 2;
  std::vector<Item> items;
  std::vector<size_t> ends;  // by tensor: tickets up to its last strip
  size_t open = 0;           // the first tensor with tiles to come
  int32_t tile = 0;          // its next one
  const auto plan_of = [&](size_t i) -> const TensorPlan& { return group.plans[size_t(group.tensors[i])]; };
  const auto add_tile = [&] {
    const TensorPlan& plan = plan_of(open);
    const auto tiles = int32_t(plan.slices * (plan.column_tiles + plan.row_tiles));
    items.push_back({group.tensors[open], tile, tiles, 0, 1});
    if (++tile == tiles) ++open, tile = 0;
  };
  for (size_t i = 0; i < group.tensors.size(); ++i) {
    const TensorPlan& plan = plan_of(i);
    while (open < size_t(plan.ring_after)) add_tile();
    const auto strips = int32_t(plan.slices * plan.strips);
    for (int32_t strip = 0; strip < strips; ++strip) {
      items.push_back({group.tensors[i], strip, strips, 0, 0});
      for (int k = 0; k < kTilesAtOnce && open < i && items.size() >= ends[open] + lag; ++k) add_tile();
    }
    ends.push_back(items.size());
  }
  while (open < group.tensors.size()) add_tile();
  return items;
}

template <class G, const SweepForm& Form>
KernelLaunch ticket_launch(const Group& group) {
  const size_t ring = Form.ring_bytes(sizeof(G)), each = ring + sizeof(TicketShared<Form.rows>) + sizeof(FinishShared);
  const int64_t at_once = std::max<int64_t>(1, int64_t(group.limits.shared_per_block / each));
  const int64_t blocks = group.limits.multiprocessors * at_once;
  KernelLaunch launch = {"sweep_tickets",
                         sweep_tickets<G, Form.columns, Form.rows, Form.stages, Form.threads, Form.keep>,
                         blocks,
                         std::max(kTicketThreads, sweep_threads(group, Form)),
                         ring,
                         Average::moment,
                         ticket_table(group, size_t(2 * blocks)),
                         0};
  launch.blocks = std::min(blocks, int64_t(launch.items.size()));
  return launch;
}

template <class G, const StreamTicketForm& Form>
inline constexpr auto kStreamTickets = stream_tickets<G, Form.columns, Form.tile_warps, Form.row_warps, Form.batch,
                                                      Form.pitch(sizeof(G)), Form.slots, Form.threads()>;
template <class G, const StreamTicketForm& Form>
bool streams_tickets(const Group& group) {
  return rows_are_ranges<G>(group, Form.most_columns, kStreamTickets<G, Form>);
}
template <class G, const StreamTicketForm& Form>
KernelLaunch stream_ticket_launch(const Group& group) {
  const int64_t blocks = group.limits.multiprocessors;
  const int threads = int(core::ceil_div(core::ceil_div(most_columns(group), Form.columns), kWarp)) * kWarp;
  KernelLaunch launch = {"stream_tickets",           kStreamTickets<G, Form>, blocks, threads + Form.other_threads(),
                         Form.ring_bytes(sizeof(G)), Average::moment,         {},     0};
  const auto add = [&](int32_t tile, const auto& count) {
    for (const int tensor : group.tensors) {
      const auto items = int32_t(count(group.plans[size_t(tensor)]));
      for (int32_t i = 0; i < items; ++i) launch.items.push_back({tensor, i, items, 0, tile});
    }
  };
  add(0, [](const TensorPlan& plan) { return plan.slices * plan.strips; });
  launch.strip_count = int32_t(launch.items.size());
  add(1, [](const TensorPlan& plan) { return plan.slices * (plan.column_tiles + plan.row_tiles); });
  return launch;
}
template <class G>
KernelLaunch any_ticket_launch(const Group& group) {
  using Roles = StreamTicketForms<G>;
  if (streams_tickets<G, Roles::narrow>(group)) return stream_ticket_launch<G, Roles::narrow>(group);
  if (streams_tickets<G, Roles::wide>(group)) return stream_ticket_launch<G, Roles::wide>(group);
  KernelLaunch launch;
  with_sweep_form<G>(group.front().cols, [&]<const SweepForm & Form>() { launch = ticket_launch<G, Form>(group); });
  return launch;
}

KernelLaunch begin_launch(const Group& group) {
  return launch_over(group, "begin_tickets", begin_tickets, kWarp, 0, Average::moment, 0,
                     [](const TensorPlan&, int) { return 1; });
}

void add_ticketed(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& first = group.front();
  // Blocks that take some groups of rows each.
  const auto blocks = [](const TensorPlan& plan) {
    constexpr int64_t kElements = 1 << 17;
    return core::ceil_div(plan.slices * plan.norm_sums(),
                          std::max<int64_t>(1, kElements / (int64_t(core::kNormRows) * plan.cols)));
  };
  if (first.hyper.scale_parameter && !first.hyper.carried)
    launches.push_back(launch_over(group, "group_norm", group_norm, kGroupThreads, 0, Average::moment, 0,
                                   [&](const TensorPlan& plan, int) { return blocks(plan); }));
  core::with_type(first.gradient, [&]<class G>(G) {
    launches.push_back(any_ticket_launch<G>(group));
    core::with_type(first.parameter, [&]<class P>(P) {
      launches.push_back(
          launch_over(group, "apply_tickets", apply_tickets<G, P>, kApplyThreads, 0, Average::moment, 0,
                      [&](const TensorPlan& plan, int) { return commit_blocks_of(plan) + blocks(plan); }));
    });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
