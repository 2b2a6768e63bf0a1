// Momentum as kernels read and write it: eight consecutive values of a row a thread. What was written is read back by
// its codes, so that every reader has the same M.
#pragma once
#include "cuda/core/momentum.h"
#include "cuda/core/resolution.h"
#include "cuda/core/uniform.h"
#include "cuda/kernels/state.cuh"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kMomentumEach = 8;
static_assert(kMomentumEach == core::kDraws);

// Values col ... col + 7 of a row, `count` of them in it (all of one block of the codec); col is a multiple of 8.
struct MomentumPlace {
  int64_t slice, row, col;
  int count;
};
PLUMBLINE_DEVICE int64_t momentum_row_of(const SlotPlan& slot, const MomentumPlace& at) {
  return at.slice * slot.rows() + at.row;
}
PLUMBLINE_DEVICE int64_t momentum_bytes_of(const SlotPlan& slot, const MomentumPlace& at) {
  return slot.values + momentum_row_of(slot, at) * slot.row_bytes + core::row_bytes(slot.storage, at.col);
}
PLUMBLINE_DEVICE int64_t momentum_scale_of(const SlotPlan& slot, const MomentumPlace& at) {
  return slot.scales + (momentum_row_of(slot, at) * slot.row_blocks + at.col / slot.block) * int64_t(sizeof(float));
}

// Stored bytes of eight values, zeros behind `count`.
template <int Bytes>
PLUMBLINE_DEVICE Packed<uint8_t, Bytes> load_bytes(const std::byte* from, int count) {
  Packed<uint8_t, Bytes> packed = {};
  if (count >= Bytes && reinterpret_cast<uintptr_t>(from) % (Bytes < 16 ? Bytes : 16) == 0) {
    PLUMBLINE_UNROLL
    for (int w = 0; w < Bytes / 4; w += Bytes < 16 ? Bytes / 4 : 4) {
      const auto piece = load < Bytes < 16 ? Bytes : 16 > (from + 4 * w);
      PLUMBLINE_UNROLL
      for (int i = 0; i < (Bytes < 16 ? Bytes / 4 : 4); ++i) packed.word[w + i] = piece.word[i];
    }
    return packed;
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < Bytes; ++i)
    if (i < count) packed.word[i / 4] |= uint32_t(from[i]) << (8 * (i % 4));
  return packed;
}
template <int Bytes>
PLUMBLINE_DEVICE void store_bytes(std::byte* to, const Packed<uint8_t, Bytes>& packed, int count) {
  if (count >= Bytes && reinterpret_cast<uintptr_t>(to) % (Bytes < 16 ? Bytes : 16) == 0) {
    PLUMBLINE_UNROLL
    for (int w = 0; w < Bytes / 4; w += Bytes < 16 ? Bytes / 4 : 4) {
      Bits < Bytes<16 ? Bytes : 16> piece;
      PLUMBLINE_UNROLL
      for (int i = 0; i < (Bytes < 16 ? Bytes / 4 : 4); ++i) piece.word[i] = packed.word[w + i];
      store < Bytes<16 ? Bytes : 16>(to + 4 * w, piece);
    }
    return;
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < Bytes; ++i)
    if (i < count) to[i] = std::byte(packed.word[i / 4] >> (8 * (i % 4)) & 0xffu);
}

// The codec of the block at a place with the given scale; `writes` of the slot before the block is or was written.
PLUMBLINE_DEVICE core::UniformBlock uniform_block_of(const SlotPlan& slot, const MomentumPlace& at, float scale,
                                                     uint32_t writes) {
  return core::uniform_block(slot.storage, slot.rounding, scale,
                             dither_offset(slot, writes, at.col / slot.block, at.row, at.slice));
}

PLUMBLINE_DEVICE void decode_codes(const SlotPlan& slot, const core::UniformBlock& block,
                                   const Packed<uint8_t, 8>& codes, float (&m)[kMomentumEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    // the low byte order: uf4 has two codes a byte, the first in the high nibble
    const int code = slot.storage == Storage::uf8 ? int(int8_t(codes.word[e / 4] >> (8 * (e % 4))))
                                                  : int(codes.word[0] << (24 - 8 * (e / 2) + 4 * (e % 2))) >> 28;
    m[e] = core::decode_uniform(float(code), block);
  }
}

// M as the slot has it, 0 behind `count`; `writes` of the slot so far.
PLUMBLINE_DEVICE void read_momentum(const SlotPlan& slot, const std::byte* state, const MomentumPlace& at,
                                    uint32_t writes, float (&m)[kMomentumEach]) {
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) m[e] = 0.0f;
  if (at.count <= 0) return;
  const std::byte* const from = state + momentum_bytes_of(slot, at);
  if (slot.storage == Storage::fp32) {
    const auto packed = load_bytes<32>(from, 4 * at.count);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) m[e] = core::from_bits(packed.word[e]);
    return;
  }
  if (slot.storage == Storage::bf16) {
    const auto packed = load_bytes<16>(from, 2 * at.count);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e)
      m[e] = core::from_bits(e % 2 == 0 ? packed.word[e / 2] << 16 : packed.word[e / 2] & 0xffff0000u);
    return;
  }
  Packed<uint8_t, 8> codes = {};
  if (slot.storage == Storage::uf8)
    codes = load_bytes<8>(from, at.count);
  else
    codes.word[0] = load_bytes<4>(from, (at.count + 1) / 2).word[0];
  const bool beside = core::is_mutant(core::Mutant::neighbour_scale) && at.col / slot.block + 1 < slot.row_blocks;
  const float scale = core::at<const float>(state, momentum_scale_of(slot, at))[beside ? 1 : 0];
  decode_codes(slot, uniform_block_of(slot, at, scale, writes - 1u), codes, m);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e)
    if (e >= at.count) m[e] = 0.0f;
}

// The scale of the block at a place, where there are codes.
PLUMBLINE_DEVICE void write_scale(const SlotPlan& slot, std::byte* state, const MomentumPlace& at,
                                  core::BlockRange range) {
  if (core::is_quantized(slot.storage))
    *core::at<float>(state, momentum_scale_of(slot, at)) = core::uniform_scale(range);
}
// Stores the codes of m, of which `range` is that of its block, and leaves in m what was stored; `writes` of the slot
// before this one.
PLUMBLINE_DEVICE void write_momentum(const SlotPlan& slot, std::byte* state, const MomentumPlace& at, uint32_t writes,
                                     core::BlockRange range, float (&m)[kMomentumEach]) {
  if (at.count <= 0) return;
  std::byte* const to = state + momentum_bytes_of(slot, at);
  if (slot.storage == Storage::fp32) {
    Packed<uint8_t, 32> packed;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) packed.word[e] = core::to_bits(core::canonical(m[e]));
    store_bytes<32>(to, packed, 4 * at.count);
    return;
  }
  core::PhiloxWords words = {};
  const bool stochastic = slot.rounding == Rounding::stochastic;
  if (stochastic) words = core::draw_group(stream_of(slot, writes), at.col / core::kDraws, at.row, at.slice);
  if (slot.storage == Storage::bf16) {
    Packed<uint8_t, 16> packed = {};
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      core::bf16 x;
      if (stochastic)
        core::narrow_stochastic(m[e], core::draw_bits(words, e), x);
      else
        core::narrow(m[e], x);
      packed.word[e / 2] |= uint32_t(x.bits) << (16 * (e % 2));
      m[e] = core::widen(x);
    }
    store_bytes<16>(to, packed, 2 * at.count);
    return;
  }
  const float scale = core::uniform_scale(range);
  const core::UniformBlock block = uniform_block_of(slot, at, scale, writes);
  Packed<uint8_t, 8> codes = {};
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) {
    const float x = stochastic
                        ? core::encode_uniform_stochastic(m[e], block, core::uniform_of(core::draw_bits(words, e)))
                        : core::encode_uniform(m[e], block);
    const bool lost = core::is_mutant(core::Mutant::odd_nibble_lost) && slot.storage == Storage::uf4 &&
                      at.count % 2 != 0 && e == at.count - 1;
    const uint32_t code = e < at.count && !lost ? uint32_t(int(x)) : 0u;
    if (slot.storage == Storage::uf8)
      codes.word[e / 4] |= (code & 0xffu) << (8 * (e % 4));
    else
      codes.word[0] |=
          (code & 0xfu) << (8 * (e / 2) + 4 * (core::is_mutant(core::Mutant::nibbles_swapped) ? e % 2 : 1 - e % 2));
    if (core::is_mutant(core::Mutant::momentum_unstored)) continue;
    m[e] = core::decode_uniform(x, block);
  }
  if (slot.storage == Storage::uf8) {
    store_bytes<8>(to, codes, at.count);
  } else {
    Packed<uint8_t, 4> nibbles;
    nibbles.word[0] = codes.word[0];
    store_bytes<4>(to, nibbles, (at.count + 1) / 2);
  }
}

// (b q)^2 of the block at a place as it is stored; `unit` of the step's scalars.
PLUMBLINE_DEVICE float stored_resolution(const SlotPlan& slot, const std::byte* state, const MomentumPlace& at,
                                         float unit) {
  return core::resolution_square(*core::at<const float>(state, momentum_scale_of(slot, at)), unit);
}
// Of eight values, of which `count` are there, T over those that they have; all are of one block.
PLUMBLINE_DEVICE float resolution_tree(float square, int count) {
  float s[kMomentumEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e) s[e] = e < count ? square : 0.0f;
  return thread_tree(s);
}

// The range of a thread's values.
PLUMBLINE_DEVICE core::BlockRange range_of(const float (&m)[kMomentumEach], int count) {
  core::BlockRange range;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kMomentumEach; ++e)
    if (e < count) core::include(range, m[e]);
  return range;
}
// Merged over a block of the codec that lies within a warp: `threads` of it, a power of two.
PLUMBLINE_DEVICE core::BlockRange warp_range(core::BlockRange range, int threads) {
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const core::BlockRange other = {shuffle_xor(range.low, distance), shuffle_xor(range.high, distance)};
    if (distance < threads) range = core::merge(range, other);
  }
  return range;
}

// ---- uf4 and uf8 rounded stochastically, known at compile time: the same values by fewer operations ----

PLUMBLINE_DEVICE bool takes_stochastic(const SlotPlan& slot) {
  using core::Mutant;
  for (const Mutant general : {Mutant::momentum_code_truncated, Mutant::uniform_asymmetric, Mutant::nibbles_swapped,
                               Mutant::odd_nibble_lost, Mutant::stale_scale, Mutant::neighbour_scale,
                               Mutant::momentum_unstored, Mutant::short_block_kept, Mutant::residue, Mutant::dead_zone})
    if (core::is_mutant(general)) return false;
  return core::is_uniform(slot.storage) && slot.rounding == Rounding::stochastic;
}
// Exponent of a block of the codec, a power of two.
PLUMBLINE_DEVICE int block_shift(int block) {
  int shift = 0;
  while ((1 << shift) < block) ++shift;
  return shift;
}

template <Storage S>
struct StochasticCodec {
  static_assert(S == Storage::uf4 || S == Storage::uf8);
  static constexpr int kBits = S == Storage::uf4 ? 4 : 8,
                       kBytes = kBits;  // of eight values: as many bytes as bits each
  static constexpr float kLevels = S == Storage::uf4 ? 6.0f : 126.0f, kInverse = 1.0f / kLevels;
  using Codes = Packed<uint8_t, kBytes>;

  // Where a code lies in the words of eight.
  static PLUMBLINE_DEVICE int word(int e) { return S == Storage::uf4 ? 0 : e / 4; }
  static PLUMBLINE_DEVICE int bit(int e) { return S == Storage::uf4 ? 8 * (e / 2) + 4 * (1 - e % 2) : 8 * (e % 4); }

  // Aligned, all eight.
  static PLUMBLINE_DEVICE Codes load_codes(const std::byte* from) {
    const auto bits = load<kBytes>(from);
    Codes codes;
    PLUMBLINE_UNROLL
    for (int w = 0; w < kBytes / 4; ++w) codes.word[w] = bits.word[w];
    return codes;
  }
  static PLUMBLINE_DEVICE void store_codes(std::byte* to, const Codes& codes) {
    Bits<kBytes> bits;
    PLUMBLINE_UNROLL
    for (int w = 0; w < kBytes / 4; ++w) bits.word[w] = codes.word[w];
    store<kBytes>(to, bits);
  }
  static PLUMBLINE_DEVICE void decode(const Codes& codes, float scale, float (&m)[kMomentumEach]) {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      const int code = int(codes.word[word(e)] << (32 - kBits - bit(e))) >> (32 - kBits);
      m[e] = value(float(code), scale);
    }
  }
  static PLUMBLINE_DEVICE float value(float code, float scale) {
    return core::divide_levels(code, kLevels, kInverse) * scale;
  }
  // The draws are those of the values' group; in a block of NaN all codes are 0.
  static PLUMBLINE_DEVICE Codes encode(const float (&m)[kMomentumEach], float scale, const core::PhiloxWords& words) {
    const float q = core::uniform_factor(kLevels, scale);
    Codes codes = {};
    PLUMBLINE_UNROLL
    for (int e = 0; e < kMomentumEach; ++e) {
      const float k = core::clamp(core::floor(core::unrounded_uniform(m[e], q)), -kLevels, kLevels - 1.0f);
      const bool up =
          core::rounds_up(m[e], value(k, scale), value(k + 1.0f, scale), core::uniform_of(core::draw_bits(words, e)));
      // adding 1.5 2^23 leaves the integer in the low bits of the sum
      const uint32_t code = core::to_bits((up ? k + 1.0f : k) + 0x1.8p23f) & ((1u << kBits) - 1u);
      codes.word[word(e)] |= code << bit(e);
    }
    PLUMBLINE_UNROLL
    for (int w = 0; w < kBytes / 4; ++w) codes.word[w] = scale == scale ? codes.word[w] : 0u;
    return codes;
  }
};

}  // namespace plumbline::PLUMBLINE_TARGET
