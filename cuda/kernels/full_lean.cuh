// The full path where a block of the codec is a tile and nothing but g goes into u: al8 or log_u8 to nearest, no
// momentum. The 256 values of a block's codes are decoded once, into a table; codes come from the chip's logarithm
// where that decides them; the next tile is on its way while one is in work.
#pragma once
#include "cuda/kernels/full.cuh"

namespace plumbline::PLUMBLINE_TARGET {

static_assert(kFullThreads == 256);  // a thread per code
inline constexpr int kFullWarps = kFullThreads / kWarp;

PLUMBLINE_DEVICE bool is_lean(const TensorPlan& plan) {
  using core::Mutant;
  for (const Mutant general : {Mutant::code_truncated, Mutant::stale_scale, Mutant::neighbour_scale,
                               Mutant::short_block_kept, Mutant::range_barrier_lost, Mutant::range_of_one_warp})
    if (core::is_mutant(general)) return false;
  const SlotPlan& slot = plan.slot[int(SlotKind::second_moment)];
  return !plan.hyper.momentum && (slot.storage == Storage::al8 || slot.storage == Storage::log_u8) &&
         slot.rounding == Rounding::nearest && slot.block == core::kFlatTile;
}

struct LeanShared {  // of two tiles, by parity
  float table[2][kFullThreads];
  double update[2][kFullWarps], parameter[2][kFullWarps];
  uint32_t low[2][kFullWarps], high[2][kFullWarps];
  core::BlockScale scale[2];
};

// What a thread reads of a tile.
template <class G, class P>
struct LeanTile {
  TilePlace place;
  Packed<G, kFullEach> g;
  Packed<P, kFullEach> p;  // where it is wanted
  Packed<uint8_t, kFullEach> codes;
  core::BlockScale scale;
};
template <class G, class P>
PLUMBLINE_DEVICE LeanTile<G, P> fetch_tile(const FullPass& pass, int64_t tile, bool parameter) {
  const Task& task = pass.task;
  LeanTile<G, P> out = {TilePlace(task.plan, tile), {}, {}, {}, {}};
  const TilePlace& place = out.place;
  out.g = load_elements<G, kFullEach>(static_cast<const G*>(task.gradient) + place.at, place.count, place.whole);
  if (parameter)
    out.p = load_elements<P, kFullEach>(static_cast<const P*>(task.parameter) + place.at, place.count, place.whole);
  out.codes = load_elements<uint8_t, kFullEach>(core::at<const uint8_t>(task.state, pass.slot.values) + place.at,
                                                place.count, place.whole);
  // one block a tile, and the blocks of a slice are its tiles
  const float* const scale = core::at<const float>(task.state, pass.slot.scales) + 2 * tile;
  out.scale = {scale[0], scale[1]};
  return out;
}

// The value of this thread's code in the tile's block.
PLUMBLINE_DEVICE float table_entry(const FullPass& pass, core::BlockScale scale) {
  const core::BlockDecoder decoder = core::block_decoder(pass.slot.storage, scale);
  return core::decode(pass.slot.storage, uint32_t(thread_index()), decoder);
}

// g, V of this step and u from the table of old values.
template <class G, class P>
PLUMBLINE_DEVICE FullMoment lean_moment(const FullPass& pass, const LeanTile<G, P>& tile, const float* table,
                                        uint32_t& found) {
  const auto g = unpack<G, kFullEach>(tile.g);
  FullMoment moment;
  bool finite = true;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) {
    moment.g[e] = core::widen(g.x[e]) * pass.reader.multiplier;
    finite = finite && !core::is_nonfinite(moment.g[e]);
    moment.v[e] = table[(tile.codes.word[e / 4] >> (8 * (e % 4))) & 0xffu];
  }
  if (!finite) found += zero_nonfinite(moment.g, pass.reader.zero);
  form_update(pass.weights, moment);
  return moment;
}

// Sums of a tile that its warps left in shared memory, a barrier later.
PLUMBLINE_DEVICE void write_tile_sum(const double (&warps)[kFullWarps], double* to) {
  double x[kFullWarps];
  PLUMBLINE_UNROLL
  for (int w = 0; w < kFullWarps; ++w) x[w] = warps[w];
  *to = thread_tree(x);
}

// Pass 1.
template <class G, class P>
PLUMBLINE_DEVICE void lean_sweep(const FullPass& pass, bool reads_parameter, uint32_t& found, LeanShared& shared) {
  const Task& task = pass.task;
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  double* const update_sums = scratch_at<double>(task, plan.update_sums);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  const int64_t tiles = plan.slices * plan.flat_tiles, step = task.blocks;
  int parity = 0;
  int64_t before = -1;
  const auto write_sums = [&] {
    if (before < 0) return;
    if (t == 0) write_tile_sum(shared.update[parity ^ 1], update_sums + before);
    if (t == kWarp && reads_parameter) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
  };
  if (task.block >= tiles) return;
  LeanTile<G, P> next = fetch_tile<G, P>(pass, task.block, reads_parameter);
  for (int64_t tile = task.block; tile < tiles; tile += step) {
    const LeanTile<G, P> now = next;
    shared.table[parity][t] = table_entry(pass, now.scale);
    block_barrier();  // the only one a tile: the next one has the other half
    write_sums();
    if (tile + step < tiles) next = fetch_tile<G, P>(pass, tile + step, reads_parameter);
    const FullMoment moment = lean_moment(pass, now, shared.table[parity], found);
    const double update = warp_tree(square_tree(moment.u, now.place.count));
    if (lane == 0) shared.update[parity][warp] = update;
    if (reads_parameter) {
      const auto p = unpack<P, kFullEach>(now.p);
      float x[kFullEach];
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) x[e] = core::widen(p.x[e]);
      const double parameter = warp_tree(square_tree(x, now.place.count));
      if (lane == 0) shared.parameter[parity][warp] = parameter;
    }
    before = tile;
    parity ^= 1;
  }
  block_barrier();
  write_sums();
}
template <class G>
PLUMBLINE_DEVICE void lean_sweep_of_any_type(const FullPass& pass, bool reads_parameter, uint32_t& found,
                                             LeanShared& shared) {
  if (!reads_parameter) return lean_sweep<G, core::bf16>(pass, false, found, shared);
  switch (pass.task.plan.parameter) {
    case Type::float32:
      return lean_sweep<G, float>(pass, true, found, shared);
    case Type::bfloat16:
      return lean_sweep<G, core::bf16>(pass, true, found, shared);
    case Type::float16:
      return lean_sweep<G, core::f16>(pass, true, found, shared);
  }
}

PLUMBLINE_DEVICE Packed<uint8_t, kFullEach> lean_codes(Storage storage, const float (&v)[kFullEach],
                                                       core::BlockScale scale) {
  const QuickEncoder encoder = quick_encoder(storage, scale);
  Packed<uint8_t, kFullEach> codes = {};
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) {
    uint32_t code;
    if (!quick_code(v[e], encoder, code)) code = exact_code(storage, v[e], scale);
    codes.word[e / 4] |= code << (8 * (e % 4));
  }
  return codes;
}

// Pass 2.
template <class G, class P>
PLUMBLINE_DEVICE void lean_apply(const FullPass& pass, const core::StepScalars& scalars, LeanShared& shared) {
  const Task& task = pass.task;
  const TensorPlan& plan = task.plan;
  const SlotPlan& slot = pass.slot;
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  const float step_size = scalars.full_step, keep = scalars.keep;
  const bool random = plan.parameter_rounding == Rounding::stochastic, carried = plan.hyper.carried;
  const uint32_t parameter_writes = uint32_t(scalars.step - 1);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  const int64_t tiles = plan.slices * plan.flat_tiles, step = task.blocks;
  uint32_t ignored = 0;
  int parity = 0;
  int64_t before = -1;
  if (task.block >= tiles) return;
  LeanTile<G, P> next = fetch_tile<G, P>(pass, task.block, true);
  for (int64_t tile = task.block; tile < tiles; tile += step) {
    const LeanTile<G, P> now = next;
    const TilePlace& place = now.place;
    shared.table[parity][t] = table_entry(pass, now.scale);
    block_barrier();
    if (t == 0 && carried && before >= 0) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
    if (tile + step < tiles) next = fetch_tile<G, P>(pass, tile + step, true);
    FullMoment moment = lean_moment(pass, now, shared.table[parity], ignored);

    core::BlockRange range;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      if (e < place.count) core::include(range, moment.v[e]);
    const uint32_t low = warp_min(range.low), high = warp_max(range.high);
    if (lane == 0) {
      shared.low[parity][warp] = low;
      shared.high[parity][warp] = high;
    }
    block_barrier();
    if (warp == int(tile % kFullWarps)) {  // one warp makes the scale while the others go on
      range = {};
      PLUMBLINE_UNROLL
      for (int w = 0; w < kFullWarps; ++w) range = core::merge(range, {shared.low[parity][w], shared.high[parity][w]});
      const core::BlockScale scale = core::block_scale(slot.storage, range);
      if (lane == 0) {
        shared.scale[parity] = scale;
        float* const stored = core::at<float>(task.state, slot.scales) + 2 * tile;
        stored[0] = scale.lo;
        stored[1] = scale.r;
      }
    }

    auto p = unpack<P, kFullEach>(now.p);
    float y[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      y[e] = core::perturbed(core::PerturbedStage::parameter,
                             core::apply_full(core::widen(p.x[e]), moment.u[e], step_size, keep));
    round_parameters(plan, parameter_writes, random, place.slice, 0, place.index, y, p);
    store_elements<P, kFullEach>(static_cast<P*>(task.parameter) + place.at, p, place.count, place.whole);
    if (carried) {
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) y[e] = core::widen(p.x[e]);
      const double sum = warp_tree(square_tree(y, place.count));
      if (lane == 0) shared.parameter[parity][warp] = sum;
    }

    if (!core::is_mutant(core::Mutant::lean_barrier_lost)) block_barrier();
    const auto codes = lean_codes(slot.storage, moment.v, shared.scale[parity]);
    store_elements<uint8_t, kFullEach>(core::at<uint8_t>(task.state, slot.values) + place.at,
                                       unpack<uint8_t, kFullEach>(codes), place.count, place.whole);
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + place.at;
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e)
        if (e < place.count) record[e] = core::canonical(moment.v[e]);
    }
    before = tile;
    parity ^= 1;
  }
  block_barrier();
  if (t == 0 && carried) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
}

}  // namespace plumbline::PLUMBLINE_TARGET
