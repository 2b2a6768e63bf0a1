// Moments of G_low, N and the scales in one launch, where a channel is a row of kPiece values and V has one of its own:
// a warp then holds a whole channel, its blocks of momentum included, and a block of threads a tile of V.
#pragma once
#include "cuda/kernels/channels.cuh"
#include "cuda/kernels/low_rank.cuh"
#include "cuda/kernels/quick.cuh"

namespace plumbline::PLUMBLINE_TARGET {

static_assert(kLowEach == kMomentumEach && core::kFlatTile % kPiece == 0);
inline constexpr int kLowRowChannels = core::kFlatTile / kPiece;  // of a tile, one a warp
PLUMBLINE_HD bool takes_low_rows(const TensorPlan& plan) {
  return plan.reduces_columns && plan.low_cols == kPiece && !plan.hyper.projection_factored;
}
PLUMBLINE_HD int64_t low_row_tiles(const TensorPlan& plan) { return core::ceil_div(plan.channels, kLowRowChannels); }

struct LowRowShared {
  WarpRanges ranges;
  float table[kLowThreads];
  ScaleEnd end;
};

// What a verification wants to see; -1: nobody keeps it.
PLUMBLINE_DEVICE void record_low(const Task& task, int64_t offset, const ValuePlace& place,
                                 const float (&v)[kLowEach]) {
  if (offset < 0) return;
  float* const record = scratch_at<float>(task, offset) + place.index;
  for (int e = 0; e < place.count; ++e) record[e] = core::canonical(v[e]);
}

// Momentum of a channel by a warp, stored; x is G_low, then what N divides. Returns (b q)^2 of a thread's values.
PLUMBLINE_DEVICE float average_low_row(const Task& task, const core::StepScalars& scalars, int64_t channel,
                                       const ValuePlace& low, float (&x)[kLowEach]) {
  const TensorPlan& plan = task.plan;
  const SlotPlan& slot = slot_of(task, SlotKind::low_rank_momentum);
  const MomentumPlace place = {0, channel, thread_index() % kWarp * kMomentumEach, low.count};
  float m[kMomentumEach];
  read_momentum(slot, task.state, place, scalars.writes, m);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e)
    m[e] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[e], x[e], plan.hyper.b1, plan.hyper.c1));
  const bool coded = core::is_quantized(slot.storage);
  const int of_block = slot.block / kMomentumEach, threads = of_block < kWarp ? of_block : kWarp;
  core::BlockRange range;
  if (coded) range = warp_range(range_of(m, place.count), threads);
  record_low(task, plan.low_rank_momentum, low, m);
  warp_barrier();  // old codes and scale of a block were read by every lane that shares them
  write_momentum(slot, task.state, place, scalars.writes, range, m);
  if (coded && place.count > 0 && thread_index() % threads == 0) write_scale(slot, task.state, place, range);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) x[e] = m[e];
  return coded ? core::resolution_square(core::uniform_scale(range), scalars.resolution) : 0.0f;
}

PLUMBLINE_DEVICE double low_row_squares(const float (&x)[kLowEach]) {
  double s[kLowEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) s[e] = core::norm_square(x[e]);
  return warp_tree(thread_tree(s));
}

// A channel's sum of g^2, by a warp.
PLUMBLINE_FUNCTION double sum_of_many_panels(const double* panels, int64_t count) {
  return warp_row_tree<double>(count, [=](int64_t i) { return panels[i]; });
}
PLUMBLINE_DEVICE double sum_of_panels(const Task& task, int64_t channel) {
  const int count = channel < task.plan.channels ? task.plan.panels : 0;
  const double* const panels = scratch_at<const double>(task, task.plan.channel_panels) + channel * task.plan.panels;
  if (count > kWarp) return sum_of_many_panels(panels, count);
  return warp_tree_over<1>(count, [=](int64_t i) { return panels[i]; });
}

// Out of line, as the common case below has little room in registers.
PLUMBLINE_FUNCTION void low_row_tile(const Task task, const core::StepScalars& scalars, int64_t tile,
                                     WarpRanges& shared) {
  const TensorPlan& plan = task.plan;
  const SlotPlan& slot = slot_of(task, SlotKind::low_rank_second_moment);
  const int lane = thread_index() % kWarp;
  const ValuePlace place = low_place(tile, int64_t(plan.low_rows) * plan.low_cols);
  const int64_t channel = tile * kLowRowChannels + thread_index() / kWarp;
  float g[kLowEach], x[kLowEach], v[kLowEach];
  load_low(scratch_at<const float>(task, plan.low_rank_gradient), place, g);
  old_values(slot, task.state, place, scalars.writes, v);
  const double gradient = sum_of_panels(task, channel);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) x[e] = g[e];
  float square = 0.0f;
  if (plan.hyper.momentum) square = average_low_row(task, scalars, channel, place, x);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) {
    v[e] =
        core::perturbed(core::PerturbedStage::low_rank_second_moment, core::full_average(v[e], g[e], scalars.weights));
    x[e] = core::low_rank_update(x[e], core::used_moment(v[e], square), plan.hyper.projection_eps);
  }
  const ChannelSums sums = {gradient, low_row_squares(x), low_row_squares(g)};
  if (lane == 0 && place.count > 0) scale_channel(task, channel, sums);
  store_tile(task, slot, place, v, scalars.writes, shared);
  record_low(task, plan.low_rank_second_moment, place, v);
}

// ---- the common case: V in al8 or log_u8 to nearest, a block of codes a tile, momentum in uf4 or uf8, stochastic ----

static_assert(kLowThreads == 256);  // a thread per code of V
PLUMBLINE_DEVICE bool takes_quick_low_rows(const TensorPlan& plan) {
  const SlotPlan& slot = plan.slot[int(SlotKind::low_rank_second_moment)];
  return takes_quick_codes(slot) && slot.block == core::kFlatTile &&
         (!plan.hyper.momentum || takes_stochastic(plan.slot[int(SlotKind::low_rank_momentum)]));
}

// As low_row_tile. Old values of V are decoded once, into a table.
template <bool Averages, Storage S>
PLUMBLINE_DEVICE void quick_low_row_tile(const Task& task, const core::StepScalars& scalars, int64_t tile,
                                         LowRowShared& shared) {
  using Codec = StochasticCodec<S>;
  const TensorPlan& plan = task.plan;
  const SlotPlan &moment = slot_of(task, SlotKind::low_rank_second_moment),
                 &momentum = slot_of(task, SlotKind::low_rank_momentum);
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp;
  const ValuePlace place = low_place(tile, int64_t(plan.low_rows) * plan.low_cols);
  const int64_t channel = tile * kLowRowChannels + warp;
  const bool valid = place.count > 0;

  float g[kLowEach], x[kLowEach], v[kLowEach];
  load_low(scratch_at<const float>(task, plan.low_rank_gradient), place, g);
  uint8_t* const values = core::at<uint8_t>(task.state, moment.values) + place.index;
  const auto codes = load_elements<uint8_t, kLowEach>(values, place.count, true);
  float* const scales = core::at<float>(task.state, moment.scales) + 2 * tile;
  const core::BlockScale old_scale = {scales[0], scales[1]};
  const int col = lane * kMomentumEach;
  std::byte* const stored = task.state + momentum.values + channel * momentum.row_bytes + core::row_bytes(S, col);
  float* const stored_scale = core::at<float>(task.state, momentum.scales) + channel * momentum.row_blocks +
                              (Averages ? uint32_t(col) / uint32_t(momentum.block) : 0u);
  typename Codec::Codes old_codes = {};
  float old_momentum_scale = 1.0f;
  if (Averages && valid) {
    old_codes = Codec::load_codes(stored);
    old_momentum_scale = *stored_scale;
  }
  const double gradient = sum_of_panels(task, channel);
  shared.table[thread_index()] =
      core::decode(moment.storage, uint32_t(thread_index()), core::block_decoder(moment.storage, old_scale));

  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) x[e] = g[e];
  float square = 0.0f;
  if constexpr (Averages) {
    const int of_block = momentum.block / kMomentumEach, threads = of_block < kWarp ? of_block : kWarp;
    float m[kMomentumEach];
    Codec::decode(old_codes, old_momentum_scale, m);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e)
      m[e] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[e], g[e], plan.hyper.b1, plan.hyper.c1));
    uint32_t high = range_of(m, kMomentumEach).high;
    PLUMBLINE_UNROLL
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const uint32_t other = shuffle_xor(high, distance);
      if (distance < threads) high = other > high ? other : high;
    }
    const float scale = core::uniform_scale({0u, high});
    record_low(task, plan.low_rank_momentum, place, m);
    warp_barrier();  // the old scale of a block was read by every lane that shares it
    const auto next =
        Codec::encode(m, scale, core::draw_group(stream_of(momentum, scalars.writes), col / core::kDraws, channel, 0));
    square = core::resolution_square(scale, scalars.resolution);
    if (valid) {
      Codec::store_codes(stored, next);
      if (lane % threads == 0) *stored_scale = scale;
    }
    Codec::decode(next, scale, x);
  }

  block_barrier();
  core::BlockRange range;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kLowEach; ++e) {
    v[e] = shared.table[(codes.word[e / 4] >> (8 * (e % 4))) & 0xffu];
    v[e] =
        core::perturbed(core::PerturbedStage::low_rank_second_moment, core::full_average(v[e], g[e], scalars.weights));
    if (valid) core::include(range, v[e]);
    x[e] = core::low_rank_update(x[e], core::used_moment(v[e], square), plan.hyper.projection_eps);
  }
  const uint32_t low = warp_min(range.low), high = warp_max(range.high);
  if (lane == 0) {
    shared.ranges.low[warp] = low;
    shared.ranges.high[warp] = high;
  }
  const ChannelSums sums = {gradient, low_row_squares(x), low_row_squares(g)};
  if (lane == 0 && valid) scale_channel(task, channel, sums);
  record_low(task, plan.low_rank_second_moment, place, v);
  block_barrier();
  range = {};
  PLUMBLINE_UNROLL
  for (int w = 0; w < kLowThreads / kWarp; ++w)
    range = core::merge(range, {shared.ranges.low[w], shared.ranges.high[w]});
  const core::BlockScale scale = core::block_scale(moment.storage, range);
  const auto next = quick_codes(moment.storage, v, scale);
  store_elements<uint8_t, kLowEach>(values, unpack<uint8_t, kLowEach>(next), place.count, true);
  if (thread_index() == 0) {
    scales[0] = scale.lo;
    scales[1] = scale.r;
  }
}

template <class Tile>
PLUMBLINE_DEVICE void for_low_row_tiles(const Task& task, int blocks, const Tile& tile) {
  PLUMBLINE_LOOP
  for (int64_t i = task.block; i < low_row_tiles(task.plan); i += blocks) tile(i);
}

// Blocks that share the tiles first, then tiles of rows for sum p^2.
PLUMBLINE_KERNEL(kLowThreads, kLowBlocksPerMultiprocessor)
low_rank_rows(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(LowRowShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  begin_scales(task, shared.end);
  const core::StepScalars& scalars = *scalars_of(task);
  const int blocks = task.blocks - plan.row_tiles;
  const NormSource source = norm_source(task, scalars);
  const bool skip = skips(task);  // read ahead of the last block, which takes the count back to 0
  if (task.block >= blocks) {
    if (thread_index() == block_size() - 1) rehearse_end(plan, shared.end.rehearsed);
    finish_norm(task, 0, task.block - blocks, source, shared.end.tree);
  } else if (!skip) {
    if (!takes_quick_low_rows(plan))
      for_low_row_tiles(task, blocks, [&](int64_t i) { low_row_tile(task, scalars, i, shared.ranges); });
    else if (!plan.hyper.momentum)
      for_low_row_tiles(task, blocks,
                        [&](int64_t i) { quick_low_row_tile<false, Storage::uf4>(task, scalars, i, shared); });
    else if (slot_of(task, SlotKind::low_rank_momentum).storage == Storage::uf4)
      for_low_row_tiles(task, blocks,
                        [&](int64_t i) { quick_low_row_tile<true, Storage::uf4>(task, scalars, i, shared); });
    else
      for_low_row_tiles(task, blocks,
                        [&](int64_t i) { quick_low_row_tile<true, Storage::uf8>(task, scalars, i, shared); });
  }
  end_scales<16>(task, source, skip, shared.end);
}

}  // namespace plumbline::PLUMBLINE_TARGET
