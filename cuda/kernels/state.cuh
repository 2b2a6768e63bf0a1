// Second-moment state as kernels read and write it: single values decoded, tiles of 2048 encoded. A slot has one row a
// slice: an index within the slice is a column to the generator of random numbers.
#pragma once
#include "cuda/core/codec.h"
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/task.h"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

PLUMBLINE_DEVICE core::RoundingStream stream_of(const SlotPlan& slot, uint32_t writes) {
  return {{slot.seed, slot.stream}, writes};
}
// Offset of a block of dither; 0 where there is none. `writes` of the slot before the block was written.
PLUMBLINE_DEVICE float dither_offset(const SlotPlan& slot, uint32_t writes, int64_t block, int64_t row, int64_t slice) {
  if (slot.rounding != Rounding::dither) return 0.0f;
  return core::draw_dither(stream_of(slot, writes), block, row, slice);
}

// The decoder of the block that holds value `index` of a slice; `writes` of the slot so far.
PLUMBLINE_DEVICE core::BlockDecoder decoder_of(const SlotPlan& slot, const std::byte* state, int64_t slice,
                                               int64_t index, uint32_t writes) {
  const int words = core::scale_words(slot.storage);
  const int64_t block = index / slot.block;
  const bool beside = core::is_mutant(core::Mutant::neighbour_scale) && block + 1 < slot.blocks;
  const float* const scale =
      core::at<const float>(state, slot.scales) + (slice * slot.blocks + block + (beside ? 1 : 0)) * words;
  return core::block_decoder(slot.storage, {scale[0], words == 2 ? scale[1] : 1.0f}, slot.rounding,
                             dither_offset(slot, writes - 1u, block, 0, slice));
}

// Value `index` of a slice as the last step stored it.
PLUMBLINE_DEVICE float old_value(const SlotPlan& slot, const std::byte* state, int64_t slice, int64_t index,
                                 uint32_t writes) {
  const int64_t at = slice * slot.matrix + index;
  if (!core::is_quantized(slot.storage)) return core::at<const float>(state, slot.values)[at];
  const uint32_t code = slot.storage == Storage::al16 ? core::at<const uint16_t>(state, slot.values)[at]
                                                      : core::at<const uint8_t>(state, slot.values)[at];
  return core::decode(slot.storage, code, decoder_of(slot, state, slice, index, writes));
}

// Consecutive values of a slice, of one block of the codec: `count` of N, at an aligned place when `whole`.
struct ValuePlace {
  int64_t slice, index;
  int count;
  bool whole;
};
// Those as the last step stored them, behind `count` anything; `writes` of the slot so far.
template <int N>
PLUMBLINE_DEVICE void old_values(const SlotPlan& slot, const std::byte* state, const ValuePlace& place, uint32_t writes,
                                 float (&old)[N]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e) old[e] = 0.0f;
  if (place.count <= 0) return;
  const int64_t at = place.slice * slot.matrix + place.index;
  if (!core::is_quantized(slot.storage)) {
    const auto values = unpack<float, N>(
        load_elements<float, N>(core::at<const float>(state, slot.values) + at, place.count, place.whole));
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) old[e] = values.x[e];
    return;
  }
  uint32_t codes[N];
  if (slot.storage == Storage::al16) {
    const auto words = unpack<uint16_t, N>(
        load_elements<uint16_t, N>(core::at<const uint16_t>(state, slot.values) + at, place.count, place.whole));
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) codes[e] = words.x[e];
  } else {
    const auto bytes = unpack<uint8_t, N>(
        load_elements<uint8_t, N>(core::at<const uint8_t>(state, slot.values) + at, place.count, place.whole));
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) codes[e] = bytes.x[e];
  }
  const core::BlockDecoder decoder = decoder_of(slot, state, place.slice, place.index, writes);
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e) old[e] = core::decode(slot.storage, codes[e], decoder);
}

// Of the warps of a tile. Raw words: shared memory has no initial values, as core::BlockRange has.
struct WarpRanges {
  uint32_t low[kWarp], high[kWarp];
};

// The range of the block in which this thread's values lie: thread t of the block holds values N t ... N t + N - 1 of a
// tile, `count` of them within the matrix. N threads of a block divide slot.block.
template <int N>
PLUMBLINE_DEVICE core::BlockRange tile_range(const SlotPlan& slot, const float (&v)[N], int count, WarpRanges& shared) {
  core::BlockRange range;
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e)
    if (e < count) core::include(range, v[e]);
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp, threads = slot.block / N;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const core::BlockRange other = {shuffle_xor(range.low, distance), shuffle_xor(range.high, distance)};
    if (distance < threads) range = core::merge(range, other);
  }
  if (lane == 0) {
    shared.low[warp] = range.low;
    shared.high[warp] = range.high;
  }
  if (!core::is_mutant(core::Mutant::range_barrier_lost)) block_barrier();
  if (threads > kWarp && !core::is_mutant(core::Mutant::range_of_one_warp)) {
    const int warps = threads / kWarp, first = warp / warps * warps;
    for (int w = first; w < first + warps; ++w) range = core::merge(range, {shared.low[w], shared.high[w]});
  }
  block_barrier();
  return range;
}
template <int N>
PLUMBLINE_DEVICE core::BlockScale tile_scale(const SlotPlan& slot, const float (&v)[N], int count, WarpRanges& shared) {
  return core::block_scale(slot.storage, tile_range(slot, v, count, shared));
}

// Stores `count` (at most N, a multiple of 8) values from value `index` of a slice on, a multiple of N; with their
// block's scale where there are codes. `writes` of the slot before this one.
template <int N>
PLUMBLINE_DEVICE void store_values(const SlotPlan& slot, std::byte* state, int64_t slice, int64_t index,
                                   const float (&v)[N], int count, core::BlockScale scale, uint32_t writes) {
  static_assert(N % core::kDraws == 0);
  if (count <= 0) return;
  const int64_t at = slice * slot.matrix + index;
  if (!core::is_quantized(slot.storage)) {
    float* const values = core::at<float>(state, slot.values) + at;
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e)
      if (e < count) values[e] = core::canonical(v[e]);
    return;
  }
  const int64_t block = index / slot.block;
  if (core::is_mutant(core::Mutant::short_block_kept) && block > 0 && (block + 1) * slot.block > slot.matrix) return;
  const core::BlockEncoder encoder =
      core::block_encoder(slot.storage, scale, slot.rounding, dither_offset(slot, writes, block, 0, slice));
  uint32_t codes[N];
  for (int group = 0; group < N / core::kDraws; ++group) {
    core::PhiloxWords words = {};
    if (slot.rounding == Rounding::stochastic)
      words = core::draw_group(stream_of(slot, writes), index / core::kDraws + group, 0, slice);
    PLUMBLINE_UNROLL
    for (int e = 0; e < core::kDraws; ++e)
      codes[group * core::kDraws + e] = core::encode(slot.storage, slot.rounding, v[group * core::kDraws + e], encoder,
                                                     core::uniform_of(core::draw_bits(words, e)));
  }
  if (slot.storage == Storage::al16) {
    uint16_t* const values = core::at<uint16_t>(state, slot.values) + at;
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e)
      if (e < count) values[e] = uint16_t(codes[e]);
  } else {
    uint8_t* const values = core::at<uint8_t>(state, slot.values) + at;
    if (count >= N && at % N == 0) {
      Bits<N> bits;
      PLUMBLINE_UNROLL
      for (int w = 0; w < N / 4; ++w)
        bits.word[w] = codes[4 * w] | codes[4 * w + 1] << 8 | codes[4 * w + 2] << 16 | codes[4 * w + 3] << 24;
      store<N>(values, bits);
    } else {
      PLUMBLINE_UNROLL
      for (int e = 0; e < N; ++e)
        if (e < count) values[e] = uint8_t(codes[e]);
    }
  }
  if (index % slot.block == 0 && !(core::is_mutant(core::Mutant::stale_scale) && writes > 0)) {
    const int words = core::scale_words(slot.storage);
    float* const stored = core::at<float>(state, slot.scales) + (slice * slot.blocks + block) * words;
    stored[0] = scale.lo;
    if (words == 2) stored[1] = scale.r;
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
