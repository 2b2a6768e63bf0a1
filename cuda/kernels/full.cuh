// The full second moment, for vectors and unfactored tensors. A tile is 2048 elements of one slice, the largest block
// of a codec. Pass 1 forms V and u for the norms and writes sums only; pass 2 forms V again, stores it and updates p.
#pragma once
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/vector.cuh"

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

// V of this step and u for the elements of a thread.
struct FullMoment {
  float v[kFullEach], u[kFullEach];
};
template <class G>
PLUMBLINE_DEVICE FullMoment full_moment(const Task& task, const TilePlace& place, const core::Weights<float>& weights,
                                        uint32_t& found) {
  const TensorPlan& plan = task.plan;
  const SlotPlan& slot = slot_of(task, SlotKind::second_moment);
  const auto g = unpack<G, kFullEach>(
      load_elements<G, kFullEach>(static_cast<const G*>(task.gradient) + place.at, place.count, place.whole));
  float old[kFullEach] = {};
  if (!core::is_quantized(slot.storage)) {
    const auto values = unpack<float, kFullEach>(load_elements<float, kFullEach>(
        core::at<const float>(task.state, slot.values) + place.at, place.count, place.whole));
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) old[e] = values.x[e];
  } else if (place.count > 0) {
    const auto codes = unpack<uint8_t, kFullEach>(load_elements<uint8_t, kFullEach>(
        core::at<const uint8_t>(task.state, slot.values) + place.at, place.count, place.whole));
    const core::BlockDecoder decoder = decoder_of(slot, task.state, place.slice, place.index);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) old[e] = core::decode(slot.storage, codes.x[e], decoder);
  }
  FullMoment moment;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) {
    float x = core::widen(g.x[e]);
    if (core::is_nonfinite(x)) {
      ++found;
      if (plan.nonfinite == Nonfinite::zero) x = 0.0f;
    }
    moment.v[e] = core::full_average(old[e], x, weights);
    moment.u[e] = core::full_update(x, moment.v[e]);
  }
  return moment;
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
  core::Weights<float> weights;
  int32_t reads_parameter;
  TreeScratch tree;
  WarpRanges range;
  uint32_t arrived;
};

template <class G>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
sweep_full(const Task task) {
  PLUMBLINE_SHARED(FullShared, shared);
  const TensorPlan& plan = task.plan;
  const int t = thread_index();
  if (t == 0) {
    const core::StepScalars scalars = begin_step(task);
    shared.weights = scalars.weights;
    shared.reads_parameter = scalars.reads_parameter;
    if (block_index() == 0) *scalars_of(task) = scalars;
  }
  block_barrier();
  const core::Weights<float> weights = shared.weights;
  const bool reads_parameter = shared.reads_parameter;
  double* const update_sums = scratch_at<double>(task, plan.update_sums);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t found = 0;
  for (int64_t tile = block_index(); tile < plan.slices * plan.flat_tiles; tile += grid_size()) {
    const TilePlace place(plan, tile);
    uint32_t in_tile = 0;
    const FullMoment moment = full_moment<G>(task, place, weights, in_tile);
    found += in_tile;
    const double update = block_tree(square_tree(moment.u, place.count), shared.tree);
    if (t == 0) update_sums[tile] = update;
    if (!reads_parameter) continue;
    const double parameter = block_tree(parameter_squares_of_any_type(task, place), shared.tree);
    if (t == 0) parameter_sums[tile] = parameter;
  }
  uint64_t* const count = scratch_at<uint64_t>(task, plan.nonfinite_count);
  if (found != 0) atomic_add(count, uint64_t(found));

  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(grid_size()), shared.arrived)) return;
  const double update_sum = tile_tree(plan, update_sums, shared.tree);
  const double parameter_sum = reads_parameter ? tile_tree(plan, parameter_sums, shared.tree) : 0.0;
  if (t == 0) {
    core::StepScalars& scalars = *scalars_of(task);
    scalars.nonfinite = int64_t(load_fresh(count));
    *count = 0;
    *done = 0;
    if (reads_parameter) scalars.parameter_sum = parameter_sum;
    core::finish_step(plan.hyper, plan.size, update_sum, plan.nonfinite == Nonfinite::skip, scalars);
  }
}

template <class G, class P>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
apply_full(const Task task) {
  PLUMBLINE_SHARED(FullShared, shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  core::TensorClock& clock = *core::at<core::TensorClock>(task.state, plan.clock);
  const SlotPlan& slot = slot_of(task, SlotKind::second_moment);
  const int t = thread_index();
  const float step = scalars.full_step, keep = scalars.keep;
  const core::Weights<float> weights = scalars.weights;
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t ignored = 0;
  for (int64_t tile = block_index(); tile < plan.slices * plan.flat_tiles; tile += grid_size()) {
    const TilePlace place(plan, tile);
    const FullMoment moment = full_moment<G>(task, place, weights, ignored);
    core::BlockScale scale = {0.0f, 1.0f};
    if (core::is_quantized(slot.storage)) scale = tile_scale(slot, moment.v, place.count, shared.range);
    store_values(slot, task.state, place.slice, place.index, moment.v, place.count, scale);
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + place.at;
      for (int e = 0; e < place.count; ++e) record[e] = core::canonical(moment.v[e]);
    }
    P* const parameter = static_cast<P*>(task.parameter) + place.at;
    auto p = unpack<P, kFullEach>(load_elements<P, kFullEach>(parameter, place.count, place.whole));
    float stored[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) {
      core::narrow(core::apply_full(core::widen(p.x[e]), moment.u[e], step, keep), p.x[e]);
      stored[e] = core::widen(p.x[e]);
    }
    store_elements<P, kFullEach>(parameter, p, place.count, place.whole);
    if (!plan.hyper.carried) continue;
    const double sum = block_tree(square_tree(stored, place.count), shared.tree);
    if (t == 0) parameter_sums[tile] = sum;
  }
  if (block_index() == 0 && t == 0) core::commit_step(plan.hyper, scalars, clock);
  if (!plan.hyper.carried) return;
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(grid_size()), shared.arrived)) return;
  const double sum = tile_tree(plan, parameter_sums, shared.tree);
  if (t == 0) {
    *done = 0;
    clock.parameter_sum = sum;
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
