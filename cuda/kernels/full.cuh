// The full second moment, for vectors and unfactored tensors. A tile is 2048 elements of one slice, the largest block
// of a codec. Pass 1 forms V and u for the norms and writes sums, and momentum of the gradient; pass 2 forms V again,
// stores it and updates p. Momentum of the update is written in pass 2, or, where the limiter needs its norm, in a pass
// before that.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/quick.cuh"
#include "cuda/kernels/rows.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kFullThreads = 256, kFullEach = core::kFlatTile / kFullThreads;
inline constexpr int kFullBlocksPerMultiprocessor = 3;

// Where this thread's elements of a tile are.
struct TilePlace {
  int64_t slice, index, at;  // index within the slice, at within the tensor
  int count;                 // elements, at most kFullEach; may be negative
  bool whole;                // kFullEach of them at an aligned address, or none
  TilePlace() = default;
  PLUMBLINE_DEVICE TilePlace(const TensorPlan& plan, int64_t tile) {
    slice = plan.slices == 1 ? 0 : tile / plan.flat_tiles;
    index = (tile - slice * plan.flat_tiles) * core::kFlatTile + thread_index() * kFullEach;
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
  float resolution;  // of a momentum that V divides
  uint32_t writes;
  GradientReader reader;
  PLUMBLINE_DEVICE FullPass(const Task& whole, const core::StepScalars& s, bool zero)
      : task(whole),
        slot(slot_of(whole, SlotKind::second_moment)),
        momentum_slot(slot_of(whole, SlotKind::momentum)),
        weights(s.weights),
        resolution(whole.plan.resolves_moment() ? s.resolution : 0.0f),
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
PLUMBLINE_DEVICE bool are_quick_gradients(const float (&g)[kFullEach]) {
  bool quick = true;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) quick = quick && is_quick_gradient(g[e]);
  return quick;
}
// u from g and the old second moment in v, which becomes the new one.
PLUMBLINE_DEVICE MomentSpan form_update(const core::Weights<float>& weights, bool quick_gradients, FullMoment& moment) {
  MomentSpan span;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) {
    moment.v[e] =
        core::perturbed(core::PerturbedStage::second_moment, core::full_average(moment.v[e], moment.g[e], weights));
    span.include(moment.v[e]);
  }
  if (quick_gradients && span.is_quick()) {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) moment.u[e] = quick_update(moment.g[e], moment.v[e]);
  } else {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) moment.u[e] = core::full_update(moment.g[e], moment.v[e]);
  }
  return span;
}
template <class G>
PLUMBLINE_DEVICE FullMoment full_moment(const FullPass& pass, const TilePlace& place, uint32_t& found) {
  FullMoment moment;
  found += pass.reader.read(static_cast<const G*>(pass.task.gradient) + place.at, place.count, place.whole, moment.g);
  old_values(pass.slot, pass.task.state, {place.slice, place.index, place.count, place.whole}, pass.writes, moment.v);
  form_update(pass.weights, are_quick_gradients(moment.g), moment);
  return moment;
}

// u = m/sqrt(V) of a thread's values, V no less than what their block resolves.
PLUMBLINE_DEVICE void divide_momentum(const float (&m)[kFullEach], float square, FullMoment& moment) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) moment.u[e] = core::full_update(m[e], core::used_moment(moment.v[e], square));
}
// (b q)^2 of a thread's values as they are stored; 0 where nothing has steps, or divides by their root.
PLUMBLINE_DEVICE float resolution_of(const FullPass& pass, const TilePlace& place) {
  if (!(pass.resolution > 0.0f) || place.count <= 0) return 0.0f;
  return stored_resolution(pass.momentum_slot, pass.task.state, pass.place_of(place), pass.resolution);
}

// The average of momentum with x, stored; m is then what the slot decodes to. By all threads of a tile. Returns
// (b q)^2, as resolution_of.
PLUMBLINE_DEVICE float update_momentum(const FullPass& pass, const TilePlace& place, const float (&x)[kFullEach],
                                       float (&m)[kFullEach], WarpRanges& shared) {
  const TensorPlan& plan = pass.task.plan;
  const SlotPlan& slot = pass.momentum_slot;
  const MomentumPlace at = pass.place_of(place);
  read_momentum(slot, pass.task.state, at, pass.writes, m);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e)
    m[e] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[e], x[e], plan.hyper.b1, plan.hyper.c1));
  if (plan.momentum >= 0) {
    float* const record = scratch_at<float>(pass.task, plan.momentum) + place.at;
    for (int e = 0; e < place.count; ++e) record[e] = core::canonical(m[e]);
  }
  core::BlockRange range;
  if (core::is_quantized(slot.storage)) range = tile_range(slot, m, place.count, shared);
  write_momentum(slot, pass.task.state, at, pass.writes, range, m);
  if (place.count > 0 && slot.block > 0 && place.index % slot.block == 0) write_scale(slot, pass.task.state, at, range);
  if (!(pass.resolution > 0.0f)) return 0.0f;
  return core::resolution_square(core::uniform_scale(range), pass.resolution);
}
PLUMBLINE_DEVICE void clip_updates(float inverse_clip, float (&u)[kFullEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) u[e] = core::clipped_full_update(u[e], inverse_clip);
}

// T over a thread's elements of their squares, the first `count` of them. Squares are exact, so the fused sum of two is
// the sum of the two.
PLUMBLINE_DEVICE double square_tree(const float (&x)[kFullEach], int count) {
  float y[kFullEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) y[e] = x[e];
  if (count < kFullEach) {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      if (e >= count) y[e] = 0.0f;
  }
  double s[kFullEach / 2];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; e += 2) s[e / 2] = core::fma(double(y[e]), double(y[e]), core::norm_square(y[e + 1]));
  return thread_tree(s);
}

template <class P>
PLUMBLINE_DEVICE double parameter_squares(const Vec<P, kFullEach>& p, int count) {
  float x[kFullEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) x[e] = core::widen(p.x[e]);
  return square_tree(x, count);
}
template <class P>
PLUMBLINE_DEVICE double parameter_squares(const Task& task, const TilePlace& place) {
  const auto p = unpack<P, kFullEach>(
      load_elements<P, kFullEach>(static_cast<const P*>(task.parameter) + place.at, place.count, place.whole));
  return parameter_squares(p, place.count);
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

}  // namespace plumbline::PLUMBLINE_TARGET
