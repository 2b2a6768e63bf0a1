// The full second moment, for vectors and unfactored tensors. A tile is 2048 elements of one slice, the largest block
// of a codec. Pass 1 forms V and u for the norms and writes sums, and momentum of the gradient; pass 2 forms V again,
// stores it and updates p. Momentum of the update is written in pass 2, or, where the limiter needs its norm, in a pass
// before that.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/rows.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kFullThreads = 256, kFullEach = core::kFlatTile / kFullThreads;
inline constexpr int kFullBlocksPerMultiprocessor = 4;

// Where this thread's elements of a tile are.
struct TilePlace {
  int64_t slice, index, at;  // index within the slice, at within the tensor
  int count;                 // elements, at most kFullEach; may be negative
  bool whole;                // kFullEach of them at an aligned address, or none
  PLUMBLINE_DEVICE TilePlace(const TensorPlan& plan, int64_t tile) {
    slice = tile / plan.flat_tiles;
    index = tile % plan.flat_tiles * core::kFlatTile + thread_index() * kFullEach;
    at = slice * plan.slice + index;
    const int64_t left = plan.slice - index;
    count = left < kFullEach ? int(left < 0 ? 0 : left) : kFullEach;
    whole = (count == kFullEach || count == 0) && (plan.slices == 1 || plan.slice % kFullEach == 0);
  }
};

// One launch's view of a full tensor.
struct FullPass {
  const Task& task;
  const SlotPlan &slot, &momentum_slot;
  core::Weights<float> weights;
  uint32_t writes;
  GradientReader reader;
  PLUMBLINE_DEVICE FullPass(const Task& whole, const core::StepScalars& s, bool zero)
      : task(whole),
        slot(slot_of(whole, SlotKind::second_moment)),
        momentum_slot(slot_of(whole, SlotKind::momentum)),
        weights(s.weights),
        writes(s.writes),
        reader{s.multiplier, zero} {}
  PLUMBLINE_DEVICE MomentumPlace place_of(const TilePlace& place) const {
    return {place.slice, 0, place.index, place.count};
  }
};

// The gradient, V of this step and u = g/sqrt(V) for the elements of a thread.
struct FullMoment {
  float g[kFullEach], v[kFullEach], u[kFullEach];
};
template <class G>
PLUMBLINE_DEVICE FullMoment full_moment(const FullPass& pass, const TilePlace& place, uint32_t& found) {
  FullMoment moment;
  found += pass.reader.read(static_cast<const G*>(pass.task.gradient) + place.at, place.count, place.whole, moment.g);
  old_values(pass.slot, pass.task.state, {place.slice, place.index, place.count, place.whole}, pass.writes, moment.v);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) {
    moment.v[e] = core::full_average(moment.v[e], moment.g[e], pass.weights);
    moment.u[e] = core::full_update(moment.g[e], moment.v[e]);
  }
  return moment;
}

// The average of momentum with x, stored; m is then what the slot decodes to. By all threads of a tile.
PLUMBLINE_DEVICE void update_momentum(const FullPass& pass, const TilePlace& place, const float (&x)[kFullEach],
                                      float (&m)[kFullEach], WarpRanges& shared) {
  const TensorPlan& plan = pass.task.plan;
  const SlotPlan& slot = pass.momentum_slot;
  const MomentumPlace at = pass.place_of(place);
  read_momentum(slot, pass.task.state, at, pass.writes, m);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) m[e] = core::momentum(m[e], x[e], plan.hyper.b1, plan.hyper.c1);
  if (plan.momentum >= 0) {
    float* const record = scratch_at<float>(pass.task, plan.momentum) + place.at;
    for (int e = 0; e < place.count; ++e) record[e] = core::canonical(m[e]);
  }
  core::BlockRange range;
  if (core::is_quantized(slot.storage)) range = tile_range(slot, m, place.count, shared);
  write_momentum(slot, pass.task.state, at, pass.writes, range, m);
  if (place.count > 0 && slot.block > 0 && place.index % slot.block == 0) write_scale(slot, pass.task.state, at, range);
}
PLUMBLINE_DEVICE void clip_updates(float inverse_clip, float (&u)[kFullEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) u[e] = core::clipped_full_update(u[e], inverse_clip);
}

// T over a thread's elements of their squares, the first `count` of them.
PLUMBLINE_DEVICE double square_tree(const float (&x)[kFullEach], int count) {
  double s[kFullEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) s[e] = e < count ? core::norm_square(x[e]) : 0.0;
  return thread_tree(s);
}

template <class P>
PLUMBLINE_DEVICE double parameter_squares(const Task& task, const TilePlace& place) {
  const auto p = unpack<P, kFullEach>(
      load_elements<P, kFullEach>(static_cast<const P*>(task.parameter) + place.at, place.count, place.whole));
  float x[kFullEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) x[e] = core::widen(p.x[e]);
  return square_tree(x, place.count);
}
PLUMBLINE_DEVICE double parameter_squares_of_any_type(const Task& task, const TilePlace& place) {
  switch (task.plan.parameter) {
    case Type::float32:
      return parameter_squares<float>(task, place);
    case Type::bfloat16:
      return parameter_squares<core::bf16>(task, place);
    case Type::float16:
      return parameter_squares<core::f16>(task, place);
  }
  return 0.0;
}

// T over tiles within a slice, then over slices.
PLUMBLINE_DEVICE double tile_tree(const TensorPlan& plan, const double* sums, TreeScratch& shared) {
  const int bits = core::tree_height(plan.flat_tiles);
  return block_tree_over<8>(
      plan.slices << bits,
      [&](int64_t i) {
        const int64_t tile = i & ((int64_t(1) << bits) - 1);
        return tile < plan.flat_tiles ? load_fresh(sums + (i >> bits) * plan.flat_tiles + tile) : 0.0;
      },
      shared);
}

struct FullShared {
  core::StepScalars scalars;
  TreeScratch tree;
  WarpRanges range;
  uint32_t arrived;
};

// Sums of a tensor's tiles are all there: the scalars of the step, in one thread.
PLUMBLINE_DEVICE void finish_full(const Task& task, double update_sum, double parameter_sum) {
  const TensorPlan& plan = task.plan;
  core::StepScalars& scalars = *scalars_of(task);
  if (task.average == Average::confidence) return core::finish_limit(plan.hyper, core::sqrt(update_sum), scalars);
  uint64_t* const count = scratch_at<uint64_t>(task, plan.nonfinite_count);
  scalars.nonfinite = int64_t(load_fresh(count));
  *count = 0;
  if (scalars.reads_parameter) scalars.parameter_sum = parameter_sum;
  core::finish_step(plan.hyper, plan.size, update_sum, plan.nonfinite == Nonfinite::skip, scalars);
}

// Pass 1; for the average `confidence`: momentum of the update ahead of the limiter.
template <class G>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
sweep_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(FullShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const int t = thread_index();
  const bool limits = task.average == Average::confidence;
  if (t == 0) {
    shared.scalars = limits ? *scalars_of(task) : begin_step(task);
    if (!limits && task.block == 0) *scalars_of(task) = shared.scalars;
  }
  block_barrier();
  const core::StepScalars& scalars = shared.scalars;
  if (limits && scalars.skipped) return;
  const bool writes = limits || !found_nonfinite(task);
  const bool momentum = plan.hyper.momentum && !plan.hyper.momentum_of_update;
  const bool reads_parameter = !limits && scalars.reads_parameter;
  const FullPass pass(task, scalars, plan.nonfinite == Nonfinite::zero && (!limits || scalars.nonfinite != 0));
  double* const update_sums = scratch_at<double>(task, plan.update_sums);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t found = 0;
  for (int64_t tile = task.block; writes && tile < plan.slices * plan.flat_tiles; tile += task.blocks) {
    const TilePlace place(plan, tile);
    uint32_t in_tile = 0;
    FullMoment moment = full_moment<G>(pass, place, in_tile);
    found += in_tile;
    if (momentum) {
      float m[kFullEach];
      update_momentum(pass, place, moment.g, m, shared.range);
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) moment.u[e] = core::full_update(m[e], moment.v[e]);
    } else if (limits) {
      float m[kFullEach];
      clip_updates(scalars.inverse_clip, moment.u);
      update_momentum(pass, place, moment.u, m, shared.range);
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) moment.u[e] = m[e];
    }
    const double update = block_tree(square_tree(moment.u, place.count), shared.tree);
    if (t == 0) update_sums[tile] = update;
    if (!reads_parameter) continue;
    const double parameter = block_tree(parameter_squares_of_any_type(task, place), shared.tree);
    if (t == 0) parameter_sums[tile] = parameter;
  }
  if (found != 0 && !limits && !counts_first(plan))
    atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));

  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double update_sum = tile_tree(plan, update_sums, shared.tree);
  const double parameter_sum = reads_parameter ? tile_tree(plan, parameter_sums, shared.tree) : 0.0;
  if (t == 0) {
    *done = 0;
    finish_full(task, update_sum, parameter_sum);
  }
}

template <class G, class P>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
apply_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(FullShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const core::Hyper& h = plan.hyper;
  core::TensorClock& clock = *core::at<core::TensorClock>(task.state, plan.clock);
  const FullPass pass(task, scalars, plan.nonfinite == Nonfinite::zero && scalars.nonfinite != 0);
  const SlotPlan& slot = pass.slot;
  const int t = thread_index();
  const float step = scalars.full_step, keep = scalars.keep, inverse_clip = scalars.inverse_clip;
  const bool random = plan.parameter_rounding == Rounding::stochastic, writes_now = h.momentum_of_update && !h.limiter;
  const uint32_t parameter_writes = uint32_t(scalars.step - 1);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t ignored = 0;
  for (int64_t tile = task.block; tile < plan.slices * plan.flat_tiles; tile += task.blocks) {
    const TilePlace place(plan, tile);
    FullMoment moment = full_moment<G>(pass, place, ignored);
    if (h.momentum) {
      float m[kFullEach];
      if (writes_now) {
        clip_updates(inverse_clip, moment.u);
        update_momentum(pass, place, moment.u, m, shared.range);
      } else {
        read_momentum(pass.momentum_slot, task.state, pass.place_of(place), pass.writes + 1u, m);
      }
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e)
        moment.u[e] = h.momentum_of_update ? m[e] : core::full_update(m[e], moment.v[e]);
    }
    core::BlockScale scale = {0.0f, 1.0f};
    if (core::is_quantized(slot.storage)) scale = tile_scale(slot, moment.v, place.count, shared.range);
    store_values(slot, task.state, place.slice, place.index, moment.v, place.count, scale, pass.writes);
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + place.at;
      for (int e = 0; e < place.count; ++e) record[e] = core::canonical(moment.v[e]);
    }
    P* const parameter = static_cast<P*>(task.parameter) + place.at;
    auto p = unpack<P, kFullEach>(load_elements<P, kFullEach>(parameter, place.count, place.whole));
    float y[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) y[e] = core::apply_full(core::widen(p.x[e]), moment.u[e], step, keep);
    round_parameters(plan, parameter_writes, random, place.slice, 0, place.index, y, p);
    store_elements<P, kFullEach>(parameter, p, place.count, place.whole);
    if (!h.carried) continue;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) y[e] = core::widen(p.x[e]);
    const double sum = block_tree(square_tree(y, place.count), shared.tree);
    if (t == 0) parameter_sums[tile] = sum;
  }
  if (task.block == 0 && t == 0) core::commit_step(h, scalars, clock);
  if (!h.carried) return;
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double sum = tile_tree(plan, parameter_sums, shared.tree);
  if (t == 0) {
    *done = 0;
    core::carry_norm(clock, sum);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
