// Small tensors of the full path, one block each, in one launch: what a step needs of g, p and state is read once and
// stays on the chip. Float32 averages, or those of full_lean.cuh; no momentum. A thread holds eight elements of each of
// two tiles.
#pragma once
#include "cuda/kernels/full_passes.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kSmallTiles = 8, kSmallEach = 2;  // tiles of a tensor at most, and of a thread
inline constexpr int kSmallThreads = kSmallTiles / kSmallEach * kFullThreads;

PLUMBLINE_HD int64_t full_tiles(const TensorPlan& plan) { return plan.slices * plan.flat_tiles; }
PLUMBLINE_HD bool is_small(const TensorPlan& plan) {
  const Storage storage = plan.slot[int(SlotKind::second_moment)].storage;
  return full_tiles(plan) <= kSmallTiles && !plan.hyper.momentum && (storage == Storage::fp32 || is_lean(plan));
}

struct SmallShared {
  core::StepScalars scalars;
  float table[kSmallTiles][kFullThreads];
  double update[kSmallTiles][kFullWarps], parameter[kSmallTiles][kFullWarps];  // of a tile's warps
  uint32_t low[kSmallTiles][kFullWarps], high[kSmallTiles][kFullWarps];
  core::BlockScale scale[kSmallTiles];
  uint32_t found;
};

// What this thread has of one tile.
struct SmallPlace {
  int slice, index, at;  // as of TilePlace
  int count;
  bool whole;
  PLUMBLINE_DEVICE SmallPlace(const TensorPlan& plan, int tile, int thread) {
    slice = plan.slices == 1 ? 0 : tile / int(plan.flat_tiles);
    index = (tile - slice * int(plan.flat_tiles)) * core::kFlatTile + thread * kFullEach;
    at = slice * int(plan.slice) + index;
    const int left = slice < plan.slices ? int(plan.slice) - index : 0;
    count = left < 0 ? 0 : left < kFullEach ? left : kFullEach;
    whole = (count == kFullEach || count == 0) && (plan.slices == 1 || plan.slice % kFullEach == 0);
  }
};

// Parameters of this thread's elements on their way through dynamic shared memory: no thread reads another's, and those
// of neighbours lie side by side.
template <class P>
struct SmallParameters {
  static constexpr int kPieces = int(kFullEach * sizeof(P) / 16);
  static constexpr size_t kBytes = size_t(kSmallEach) * kFullEach * sizeof(P);  // of a thread
  Bits<16>* pieces;
  PLUMBLINE_DEVICE Bits<16>* piece(int k, int i) const {
    return pieces + (k * kPieces + i) * block_size() + thread_index();
  }
  PLUMBLINE_DEVICE void fetch(const P* from, int k, const SmallPlace& place) const {
    if (place.whole) {
      if (place.count <= 0) return;
      PLUMBLINE_UNROLL
      for (int i = 0; i < kPieces; ++i) copy16_async(piece(k, i), from + place.at + i * kVector<P>, true);
      return;
    }
    const auto p = load_elements<P, kFullEach>(from + place.at, place.count, false);
    PLUMBLINE_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      Bits<16> words;
      PLUMBLINE_UNROLL
      for (int w = 0; w < 4; ++w) words.word[w] = p.word[4 * i + w];
      *piece(k, i) = words;
    }
  }
  // Of a thread that has elements there, behind copy_wait.
  PLUMBLINE_DEVICE Vec<P, kFullEach> read(int k) const {
    Packed<P, kFullEach> p;
    PLUMBLINE_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const Bits<16> words = *piece(k, i);
      PLUMBLINE_UNROLL
      for (int w = 0; w < 4; ++w) p.word[4 * i + w] = words.word[w];
    }
    return unpack<P, kFullEach>(p);
  }
};

// T over a tensor's sums, tiles within a slice, then slices, by one warp; every lane gets it.
PLUMBLINE_DEVICE double small_tree(const TensorPlan& plan, const double (&sums)[kSmallTiles][kFullWarps]) {
  const int tiles = int(plan.flat_tiles), bits = core::tree_height(tiles);
  static_assert(kSmallTiles * kFullWarps <= 2 * kWarp);
  return warp_tree_over<2>((plan.slices << bits) * kFullWarps, [&](int64_t i) {
    const int of_tiles = int(i) / kFullWarps, tile = of_tiles & ((1 << bits) - 1);
    return tile < tiles ? sums[(of_tiles >> bits) * tiles + tile][i % kFullWarps] : 0.0;
  });
}

// As open_task, with the tensor's pointers on their way beside its plan.
PLUMBLINE_DEVICE Task open_small(const Launch& launch, PlanShared& shared) {
  static_assert(sizeof(TensorPlan) <= kFullThreads * 8);
  const Item item = own_item(launch);
  const int at = thread_index() * 8;
  Bits<8> word = {};
  if (at < int(sizeof(TensorPlan))) word = load<8>(reinterpret_cast<const std::byte*>(launch.plans + item.tensor) + at);
  begin_grid();
  const TensorPointers pointers = launch.pointers != nullptr ? launch.pointers[item.tensor] : launch.own;
  if (at < int(sizeof(TensorPlan))) store<8>(shared.bytes + at, word);
  block_barrier();
  return {*reinterpret_cast<const TensorPlan*>(shared.bytes),
          launch.state,
          launch.scratch,
          pointers.parameter,
          pointers.gradient,
          item.first_slice,
          item.block,
          item.blocks,
          launch.average};
}

// The scalars of a step in shared memory, before and behind its sums; by one thread.
PLUMBLINE_FUNCTION void begin_small(const Task& task, core::StepScalars& scalars) { scalars = begin_step(task); }
PLUMBLINE_FUNCTION void finish_small(const Task& task, uint32_t found, double update_sum, double parameter_sum,
                                     core::StepScalars& scalars) {
  const TensorPlan& plan = task.plan;
  scalars.nonfinite = nonfinite_elements(task, found);
  if (scalars.reads_parameter) scalars.parameter_sum = parameter_sum;
  core::finish_step(plan.hyper, plan.size, update_sum, plan.nonfinite == Nonfinite::skip, scalars);
}

template <class G, class P>
PLUMBLINE_KERNEL(kSmallThreads, 1)
step_small(const Launch launch) {
  PLUMBLINE_DYNAMIC_SHARED(Bits<16>, pieces);
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(SmallShared, shared);
  const Task task = open_small(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::Hyper& h = plan.hyper;
  const SlotPlan& slot = slot_of(task, SlotKind::second_moment);
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  const int of_group = t % kFullThreads, first = t / kFullThreads * kSmallEach, of_tile = warp % kFullWarps;
  const int tiles = int(full_tiles(plan));
  const bool coded = core::is_quantized(slot.storage);
  const SmallParameters<P> parameters = {pieces};
  const G* const gradient = static_cast<const G*>(task.gradient);
  float* const values = core::at<float>(task.state, slot.values);
  uint8_t* const codes = core::at<uint8_t>(task.state, slot.values);
  float* const scales = core::at<float>(task.state, slot.scales);
  core::TensorClock& clock = *core::at<core::TensorClock>(task.state, plan.clock);

  const SmallPlace places[kSmallEach] = {{plan, first, of_group}, {plan, first + 1, of_group}};
  Packed<G, kFullEach> raw[kSmallEach] = {};
  Packed<uint8_t, kFullEach> old[kSmallEach] = {};
  float scale[kSmallEach] = {};  // words of it
  FullMoment moment[kSmallEach];
  // What a thread has whole is loaded ahead, the rest where it is wanted: a choice of two would wait for its result.
  const bool ahead[kSmallEach] = {places[0].whole && places[0].count > 0, places[1].whole && places[1].count > 0};
  PLUMBLINE_UNROLL
  for (int k = 0; k < kSmallEach; ++k) {
    const SmallPlace& place = places[k];
    parameters.fetch(static_cast<const P*>(task.parameter), k, place);
    if (coded) {
      if (ahead[k]) old[k] = load_elements<uint8_t, kFullEach>(codes + place.at, kFullEach, true);
      if (first + k < tiles) scale[k] = load_scale_word(scales + 2 * (first + k));
    } else if (place.count > 0) {
      prefetch_line(values + place.at);
    }
    if (warp == 0 && ahead[k]) prefetch_line(gradient + place.at);
  }
  copy_commit();
  if (t == 0) {
    shared.found = 0;
    begin_small(task, shared.scalars);
  }
  PLUMBLINE_UNROLL
  for (int k = 0; k < kSmallEach; ++k)
    if (ahead[k]) raw[k] = load_elements<G, kFullEach>(gradient + places[k].at, kFullEach, true);
  PLUMBLINE_UNROLL
  for (int k = 0; k < kSmallEach; ++k)
    if (coded && first + k < tiles)
      shared.table[first + k][of_group] = table_entry(slot.storage, of_group, scale_of_words(scale[k]));
  block_barrier();

  core::StepScalars& scalars = shared.scalars;
  const GradientReader reader = {scalars.multiplier, plan.nonfinite == Nonfinite::zero};
  const core::Weights<float> weights = scalars.weights;
  uint32_t found = 0;
  bool quick[kSmallEach];
  double squares[kSmallEach];
  copy_wait<0>();
  PLUMBLINE_UNROLL
  for (int k = 0; k < kSmallEach; ++k) {
    if (!places[k].whole) raw[k] = load_elements<G, kFullEach>(gradient + places[k].at, places[k].count, false);
    const bool quick_gradients = lean_gradient(reader, raw[k], moment[k].g, found);
    if (coded) {
      if (!places[k].whole) old[k] = load_elements<uint8_t, kFullEach>(codes + places[k].at, places[k].count, false);
      look_up(shared.table[first + k], old[k], moment[k].v);
    } else {
      const auto v = unpack<float, kFullEach>(
          load_elements<float, kFullEach>(values + places[k].at, places[k].count, places[k].whole));
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) moment[k].v[e] = v.x[e];
    }
    const MomentSpan span = form_update(weights, quick_gradients, moment[k]);
    quick[k] = span.is_quick();
    squares[k] = square_tree(moment[k].u, places[k].count);
    if (!coded) continue;
    const core::BlockRange range = lean_range(span, moment[k].v, places[k].count);
    const uint32_t low = warp_min(range.low), high = warp_max(range.high);
    if (lane == 0) {
      shared.low[first + k][of_tile] = low;
      shared.high[first + k][of_tile] = high;
    }
  }
  const double update = warp_trees(squares, lane);
  if (lane < kSmallEach) shared.update[first + tree_of_lane<kSmallEach>(lane)][of_tile] = update;
  if (found != 0) atomic_add(&shared.found, found);
  if (scalars.reads_parameter) {
    PLUMBLINE_UNROLL
    for (int k = 0; k < kSmallEach; ++k)
      squares[k] = places[k].count > 0 ? parameter_squares(parameters.read(k), places[k].count) : 0.0;
    const double parameter = warp_trees(squares, lane);
    if (lane < kSmallEach) shared.parameter[first + tree_of_lane<kSmallEach>(lane)][of_tile] = parameter;
  }
  block_barrier();

  // one warp ends the sums, another of each group makes the scales of its blocks
  if (warp == 0) {
    const double update_sum = small_tree(plan, shared.update);
    const double parameter_sum = scalars.reads_parameter ? small_tree(plan, shared.parameter) : 0.0;
    if (lane == 0) finish_small(task, shared.found, update_sum, parameter_sum, scalars);
  } else if (coded && of_tile == 1 && lane < kSmallEach && first + lane < tiles) {
    core::BlockRange range;
    PLUMBLINE_UNROLL
    for (int w = 0; w < kFullWarps; ++w)
      range = core::merge(range, {shared.low[first + lane][w], shared.high[first + lane][w]});
    shared.scale[first + lane] = core::block_scale(slot.storage, range);
  }
  core::BlockScale made[kSmallEach];
  const auto read_scales = [&] {
    PLUMBLINE_UNROLL
    for (int k = 0; k < kSmallEach; ++k) made[k] = shared.scale[first + k];
  };
  const bool early = core::is_mutant(core::Mutant::lean_barrier_lost);
  if (early) read_scales();
  block_barrier();
  if (!early) read_scales();
  static_assert(sizeof scalars % 8 == 0 && sizeof scalars <= kFullThreads * 8);
  if (8 * t < int(sizeof scalars))
    store<8>(reinterpret_cast<std::byte*>(scalars_of(task)) + 8 * t,
             load<8>(reinterpret_cast<const std::byte*>(&scalars) + 8 * t));
  if (scalars.skipped) return;
  if (t == 0) core::commit_step(h, scalars, clock);

  const bool random = plan.parameter_rounding == Rounding::stochastic;
  const float step = scalars.full_step, keep = scalars.keep;
  const auto parameter_writes = uint32_t(scalars.step - 1);
  PLUMBLINE_UNROLL
  for (int k = 0; k < kSmallEach; ++k) {
    const SmallPlace& place = places[k];
    squares[k] = 0.0;
    if (place.count <= 0) continue;
    auto p = parameters.read(k);
    float y[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      y[e] = core::perturbed(core::PerturbedStage::parameter,
                             core::apply_full(core::widen(p.x[e]), moment[k].u[e], step, keep));
    round_parameters(plan, parameter_writes, random, place.slice, 0, place.index, y, p);
    store_elements<P, kFullEach>(static_cast<P*>(task.parameter) + place.at, p, place.count, place.whole);
    if (h.carried) squares[k] = parameter_squares(p, place.count);
    if (coded) {
      const auto bytes = nearest_codes(slot.storage, moment[k].v, quick[k], made[k]);
      store_elements<uint8_t, kFullEach>(codes + place.at, unpack<uint8_t, kFullEach>(bytes), place.count, place.whole);
      if (of_group == 0) {
        scales[2 * (first + k)] = shared.scale[first + k].lo;
        scales[2 * (first + k) + 1] = shared.scale[first + k].r;
      }
    } else {
      Vec<float, kFullEach> v;
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) v.x[e] = core::canonical(moment[k].v[e]);
      store_elements<float, kFullEach>(values + place.at, v, place.count, place.whole);
    }
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + place.at;
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e)
        if (e < place.count) record[e] = core::canonical(moment[k].v[e]);
    }
  }
  if (!h.carried) return;
  const double parameter = warp_trees(squares, lane);
  if (lane < kSmallEach) shared.parameter[first + tree_of_lane<kSmallEach>(lane)][of_tile] = parameter;
  block_barrier();
  if (warp != 0) return;
  const double sum = small_tree(plan, shared.parameter);
  if (lane == 0) core::carry_norm(clock, sum);
}

}  // namespace plumbline::PLUMBLINE_TARGET
