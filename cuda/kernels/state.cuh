// Second-moment state as kernels read and write it: single values decoded, tiles of 2048 encoded.
#pragma once
#include "cuda/core/codec.h"
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/task.h"

namespace plumbline::PLUMBLINE_TARGET {

// The decoder of the block that holds value `index` of a slice.
PLUMBLINE_DEVICE core::BlockDecoder decoder_of(const SlotPlan& slot, const std::byte* state, int64_t slice,
                                               int64_t index) {
  const int words = core::scale_words(slot.storage);
  const float* const scale =
      core::at<const float>(state, slot.scales) + (slice * slot.blocks + index / slot.block) * words;
  return core::block_decoder(slot.storage, {scale[0], words == 2 ? scale[1] : 1.0f});
}

// Value `index` of a slice as the last step stored it.
PLUMBLINE_DEVICE float old_value(const SlotPlan& slot, const std::byte* state, int64_t slice, int64_t index) {
  const int64_t at = slice * slot.matrix + index;
  if (!core::is_quantized(slot.storage)) return core::at<const float>(state, slot.values)[at];
  return core::decode(slot.storage, core::at<const uint8_t>(state, slot.values)[at],
                      decoder_of(slot, state, slice, index));
}

// Of the warps of a tile. Raw words: shared memory has no initial values, as core::BlockRange has.
struct WarpRanges {
  uint32_t low[kWarp], high[kWarp];
};

// The scale of the block in which this thread's values lie: thread t of the block holds values N t ... N t + N - 1 of a
// tile, `count` of them within the matrix. N threads of a block divide slot.block.
template <int N>
PLUMBLINE_DEVICE core::BlockScale tile_scale(const SlotPlan& slot, const float (&v)[N], int count, WarpRanges& shared) {
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
  block_barrier();
  if (threads > kWarp) {
    const int warps = threads / kWarp, first = warp / warps * warps;
    for (int w = first; w < first + warps; ++w) range = core::merge(range, {shared.low[w], shared.high[w]});
  }
  block_barrier();
  return core::block_scale(slot.storage, range);
}

// Stores `count` (at most N) values from value `index` of a slice on; with their block's scale where there are codes.
template <int N>
PLUMBLINE_DEVICE void store_values(const SlotPlan& slot, std::byte* state, int64_t slice, int64_t index,
                                   const float (&v)[N], int count, core::BlockScale scale) {
  if (count <= 0) return;
  const int64_t at = slice * slot.matrix + index;
  if (!core::is_quantized(slot.storage)) {
    float* const values = core::at<float>(state, slot.values) + at;
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e)
      if (e < count) values[e] = core::canonical(v[e]);
    return;
  }
  uint8_t codes[N];
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e) codes[e] = uint8_t(core::encode(slot.storage, v[e], scale));
  uint8_t* const values = core::at<uint8_t>(state, slot.values) + at;
  if (count >= N && at % N == 0) {
    Bits<N> bits;
    std::memcpy(&bits, codes, N);
    store<N>(values, bits);
  } else {
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e)
      if (e < count) values[e] = codes[e];
  }
  if (index % slot.block == 0) {
    const int words = core::scale_words(slot.storage);
    float* const stored = core::at<float>(state, slot.scales) + (slice * slot.blocks + index / slot.block) * words;
    stored[0] = scale.lo;
    if (words == 2) stored[1] = scale.r;
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
