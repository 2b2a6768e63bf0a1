// The full path where a block of the codec is a tile and nothing but g goes into u: al8 or log_u8 to nearest, no
// momentum, and tiles that are full. The 256 values of a block's codes are decoded once, into a table; codes come from
// the chip's logarithm where that decides them; the next tile is on its way while one is in work.
#pragma once
#include "cuda/kernels/full.cuh"

namespace plumbline::PLUMBLINE_TARGET {

static_assert(kFullThreads == 256);  // a thread per code
inline constexpr int kFullWarps = kFullThreads / kWarp;

PLUMBLINE_HD bool is_lean(const TensorPlan& plan) {
  const SlotPlan& slot = plan.slot[int(SlotKind::second_moment)];
  return !plan.hyper.momentum && takes_quick_codes(slot) && slot.block == core::kFlatTile;
}

// The first so many tiles of a tensor are full, in an order without gaps: its elements in theirs.
PLUMBLINE_DEVICE int64_t lean_tiles(const TensorPlan& plan) {
  if (!is_lean(plan)) return 0;
  if (plan.slices == 1) return plan.slice / core::kFlatTile;
  return plan.slice % core::kFlatTile == 0 ? plan.slices * plan.flat_tiles : 0;
}
// Of the tiles that a block takes, the first from number `tiles` on.
PLUMBLINE_DEVICE int64_t tile_behind(const Task& task, int64_t tiles) {
  if (tiles <= task.block) return task.block;
  return task.block + core::ceil_div(tiles - task.block, int64_t(task.blocks)) * task.blocks;
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
  Packed<G, kFullEach> g;
  Packed<P, kFullEach> p;  // where it is wanted
  Packed<uint8_t, kFullEach> codes;
  float scale;  // a lane's word of it
};
// A lane's word of a block's scale: one address for all would make it a value that nobody can wait for later.
PLUMBLINE_DEVICE float load_scale_word(const float* scale) { return scale[thread_index() & 1]; }
PLUMBLINE_DEVICE core::BlockScale scale_of_words(float word) { return {shuffle(word, 0), shuffle(word, 1)}; }
// Where it is: of this thread in the first tile; tiles follow each other, and so do their blocks' scales.
template <class G, class P>
struct LeanSource {
  const G* gradient;
  P* parameter;
  uint8_t* codes;
  float* scales;
  PLUMBLINE_DEVICE explicit LeanSource(const FullPass& pass)
      : gradient(static_cast<const G*>(pass.task.gradient) + thread_index() * kFullEach),
        parameter(static_cast<P*>(pass.task.parameter) + thread_index() * kFullEach),
        codes(core::at<uint8_t>(pass.task.state, pass.slot.values) + thread_index() * kFullEach),
        scales(core::at<float>(pass.task.state, pass.slot.scales)) {}
  PLUMBLINE_DEVICE LeanTile<G, P> fetch(int64_t tile, bool wants_parameter) const {
    const int64_t at = tile * core::kFlatTile;
    LeanTile<G, P> out = {};
    out.g = load_elements<G, kFullEach>(gradient + at, kFullEach, true);
    if (wants_parameter) out.p = load_elements<P, kFullEach>(parameter + at, kFullEach, true);
    out.codes = load_elements<uint8_t, kFullEach>(codes + at, kFullEach, true);
    out.scale = load_scale_word(scales + 2 * tile);
    return out;
  }
};

// The value of a code of al8 or log_u8 in a block of this scale.
PLUMBLINE_DEVICE float table_entry(Storage storage, int code, core::BlockScale scale) {
  const core::BlockDecoder decoder = storage == Storage::log_u8 ? core::block_decoder(Storage::log_u8, scale)
                                                                : core::block_decoder(Storage::al8, scale);
  return core::decode_log(float(code), decoder);
}

// The gradient of a tile as the statistics see it; whether quick_update takes all of it.
template <class G>
PLUMBLINE_DEVICE bool lean_gradient(const GradientReader& reader, const Packed<G, kFullEach>& raw,
                                    float (&g)[kFullEach], uint32_t& found) {
  const auto x = unpack<G, kFullEach>(raw);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) g[e] = core::widen(x.x[e]) * reader.multiplier;
  const bool quick = are_quick_gradients(g);
  if (!quick) found += zero_nonfinite(g, reader.zero);
  return quick;
}
// Values of codes.
PLUMBLINE_DEVICE void look_up(const float* table, const Packed<uint8_t, kFullEach>& codes, float (&v)[kFullEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e) v[e] = table[(codes.word[e / 4] >> (8 * (e % 4))) & 0xffu];
}
// What the first `count` of a thread's V add to the range of their block.
PLUMBLINE_DEVICE core::BlockRange lean_range(const MomentSpan& span, const float (&v)[kFullEach], int count) {
  if (count >= kFullEach && span.is_quick()) return {span.low - 1u, span.high};
  core::BlockRange range;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kFullEach; ++e)
    if (e < count) core::include(range, v[e]);
  return range;
}

// g, V of this step and u from the table of old values.
template <class G, class P>
PLUMBLINE_DEVICE MomentSpan lean_moment(const FullPass& pass, const LeanTile<G, P>& tile, const float* table,
                                        FullMoment& moment, uint32_t& found) {
  const bool quick = lean_gradient(pass.reader, tile.g, moment.g, found);
  look_up(table, tile.codes, moment.v);
  return form_update(pass.weights, quick, moment);
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
  const Storage storage = pass.slot.storage;
  const LeanSource<G, P> source(pass);
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  double* const update_sums = scratch_at<double>(task, plan.update_sums);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  const int64_t tiles = lean_tiles(plan), step = task.blocks;
  int parity = 0;
  int64_t before = -1;
  const auto write_sums = [&] {
    if (before < 0) return;
    if (t == 0) write_tile_sum(shared.update[parity ^ 1], update_sums + before);
    if (t == kWarp && reads_parameter) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
  };
  if (task.block >= tiles) return;
  LeanTile<G, P> next = source.fetch(task.block, reads_parameter);
  for (int64_t tile = task.block; tile < tiles; tile += step) {
    const LeanTile<G, P> now = next;
    shared.table[parity][t] = table_entry(storage, t, scale_of_words(now.scale));
    block_barrier();  // the only one a tile: the next one has the other half
    write_sums();
    if (tile + step < tiles) next = source.fetch(tile + step, reads_parameter);
    FullMoment moment;
    lean_moment(pass, now, shared.table[parity], moment, found);
    const double update = warp_tree(square_tree(moment.u, kFullEach));
    if (lane == 0) shared.update[parity][warp] = update;
    if (reads_parameter) {
      const double parameter = warp_tree(parameter_squares(unpack<P, kFullEach>(now.p), kFullEach));
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

// Pass 2.
template <class G, class P>
PLUMBLINE_DEVICE void lean_apply(const FullPass& pass, const core::StepScalars& scalars, LeanShared& shared) {
  const Task& task = pass.task;
  const TensorPlan& plan = task.plan;
  const Storage storage = pass.slot.storage;
  const LeanSource<G, P> source(pass);
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp;
  const float step_size = scalars.full_step, keep = scalars.keep;
  const bool random = plan.parameter_rounding == Rounding::stochastic, carried = plan.hyper.carried;
  const uint32_t parameter_writes = uint32_t(scalars.step - 1);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  const int64_t tiles = lean_tiles(plan), step = task.blocks;
  uint32_t ignored = 0;
  int parity = 0;
  int64_t before = -1;
  if (task.block >= tiles) return;
  LeanTile<G, P> next = source.fetch(task.block, true);
  for (int64_t tile = task.block; tile < tiles; tile += step) {
    const LeanTile<G, P> now = next;
    shared.table[parity][t] = table_entry(storage, t, scale_of_words(now.scale));
    block_barrier();
    if (t == 0 && carried && before >= 0) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
    if (tile + step < tiles) next = source.fetch(tile + step, true);
    FullMoment moment;
    const MomentSpan span = lean_moment(pass, now, shared.table[parity], moment, ignored);

    core::BlockRange range = lean_range(span, moment.v, kFullEach);
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
      const core::BlockScale scale = core::block_scale(storage, range);
      if (lane == 0) {
        shared.scale[parity] = scale;
        source.scales[2 * tile] = scale.lo;
        source.scales[2 * tile + 1] = scale.r;
      }
    }

    const int64_t at = tile * core::kFlatTile;
    auto p = unpack<P, kFullEach>(now.p);
    float y[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      y[e] = core::perturbed(core::PerturbedStage::parameter,
                             core::apply_full(core::widen(p.x[e]), moment.u[e], step_size, keep));
    TilePlace place = {};
    if (random) place = TilePlace(plan, tile);
    round_parameters(plan, parameter_writes, random, place.slice, 0, place.index, y, p);
    store_elements<P, kFullEach>(source.parameter + at, p, kFullEach, true);
    if (carried) {
      const double sum = warp_tree(parameter_squares(p, kFullEach));
      if (lane == 0) shared.parameter[parity][warp] = sum;
    }

    if (!core::is_mutant(core::Mutant::lean_barrier_lost)) block_barrier();
    const auto codes = nearest_codes(storage, moment.v, span.is_quick(), shared.scale[parity]);
    store_elements<uint8_t, kFullEach>(source.codes + at, unpack<uint8_t, kFullEach>(codes), kFullEach, true);
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + at + t * kFullEach;
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) record[e] = core::canonical(moment.v[e]);
    }
    before = tile;
    parity ^= 1;
  }
  block_barrier();
  if (t == 0 && carried) write_tile_sum(shared.parameter[parity ^ 1], parameter_sums + before);
}

}  // namespace plumbline::PLUMBLINE_TARGET
