#include "cuda/state/slots.h"

#include <algorithm>
#include <cstring>

#include "cuda/core/codec.h"
#include "cuda/core/uniform.h"
#include "cuda/state/draws.h"

namespace plumbline {
namespace {

constexpr int64_t kMostInBlock = 2048;

core::RoundingStream stream_of(const SlotPlan& slot, uint32_t writes) { return {{slot.seed, slot.stream}, writes}; }

bool keeps_scale(uint32_t writes) { return core::is_mutant(core::Mutant::stale_scale) && writes > 0; }

// Where a range starts, and its blocks' scales.
int64_t first_byte(const SlotPlan& slot, const SlotRange& at) {
  return slot.values + (at.slice * slot.rows() + at.row) * slot.row_bytes + core::row_bytes(slot.storage, at.first);
}
int64_t first_scale(const SlotPlan& slot, const SlotRange& at) {
  const int64_t block = (at.slice * slot.rows() + at.row) * slot.row_blocks + at.first / slot.block;
  return slot.scales + block * core::scale_words(slot.storage) * int64_t(sizeof(float));
}

// Bits of the largest magnitude; NaN is above all.
uint32_t high_bits(const float* __restrict values, int64_t n) {
  uint32_t high = 0;
  for (int64_t i = 0; i < n; ++i) high = std::max(high, core::range_bits(values[i]));
  return high;
}
core::BlockRange block_range(const float* __restrict values, int64_t n) {
  core::BlockRange range;
  uint32_t low = range.low, high = range.high;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = core::range_bits(values[i]);
    low = std::min(low, bits - 1u);
    high = std::max(high, bits);
  }
  return {low, high};
}

// --- second moments; one loop per format, so that the choice stays outside of it and the loop becomes vector code ---

template <class Code>
void decode_moments(Storage storage, const core::BlockDecoder& decoder, const std::byte* bytes, int64_t n,
                    float* __restrict values) {
  const Code* __restrict codes = reinterpret_cast<const Code*>(bytes);
  const core::BlockDecoder d = decoder;
  if (storage == Storage::linear_u8) {
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_linear_u8(float(codes[i]), d);
  } else {
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_log(float(codes[i]), d);
  }
}

template <class Code>
void encode_moments(Storage storage, Rounding rounding, const core::BlockEncoder& encoder,
                    const float* __restrict values, const uint32_t* __restrict bits, int64_t n, std::byte* bytes) {
  Code* __restrict codes = reinterpret_cast<Code*>(bytes);
  const core::BlockEncoder e = encoder;
  const bool stochastic = rounding == Rounding::stochastic;
  if (storage == Storage::linear_u8 && stochastic) {
    for (int64_t i = 0; i < n; ++i)
      codes[i] = Code(int(core::encode_linear_u8_stochastic(values[i], e, core::uniform_of(bits[i]))));
  } else if (storage == Storage::linear_u8) {
    for (int64_t i = 0; i < n; ++i) codes[i] = Code(int(core::encode_linear_u8(values[i], e)));
  } else if (stochastic) {
    for (int64_t i = 0; i < n; ++i)
      codes[i] = Code(int(core::encode_log_stochastic(values[i], e, core::uniform_of(bits[i]))));
  } else {
    for (int64_t i = 0; i < n; ++i) codes[i] = Code(int(core::encode_log(values[i], e)));
  }
}

// --- momentum ---

void decode_uniform(Storage storage, const core::UniformBlock& block, const std::byte* bytes, int64_t n,
                    float* __restrict values) {
  const core::UniformBlock b = block;
  if (storage == Storage::uf8) {
    const int8_t* __restrict codes = reinterpret_cast<const int8_t*>(bytes);
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_uniform(float(codes[i]), b);
    return;
  }
  const uint8_t* __restrict codes = reinterpret_cast<const uint8_t*>(bytes);
  for (int64_t i = 0; i < n / 2; ++i) {
    values[2 * i] = core::decode_uniform(float(core::high_nibble(codes[i])), b);
    values[2 * i + 1] = core::decode_uniform(float(core::low_nibble(codes[i])), b);
  }
  if (n % 2 != 0) values[n - 1] = core::decode_uniform(float(core::high_nibble(codes[n / 2])), b);
}

void encode_uniform(Storage storage, Rounding rounding, const core::UniformBlock& block, const float* __restrict values,
                    const uint32_t* __restrict bits, int64_t n, std::byte* bytes) {
  const core::UniformBlock b = block;
  int8_t coded[kMostInBlock + 1];
  int8_t* __restrict codes = storage == Storage::uf8 ? reinterpret_cast<int8_t*>(bytes) : coded;
  if (rounding == Rounding::stochastic) {
    for (int64_t i = 0; i < n; ++i)
      codes[i] = int8_t(int(core::encode_uniform_stochastic(values[i], b, core::uniform_of(bits[i]))));
  } else {
    for (int64_t i = 0; i < n; ++i) codes[i] = int8_t(int(core::encode_uniform(values[i], b)));
  }
  if (storage == Storage::uf8) return;
  coded[n] = 0;
  if (core::is_mutant(core::Mutant::odd_nibble_lost) && n % 2 != 0) coded[n - 1] = 0;
  uint8_t* __restrict packed = reinterpret_cast<uint8_t*>(bytes);
  for (int64_t i = 0; i < (n + 1) / 2; ++i) packed[i] = core::pack_nibbles(coded[2 * i], coded[2 * i + 1]);
}

void encode_bf16(Rounding rounding, const float* __restrict values, const uint32_t* __restrict bits, int64_t n,
                 std::byte* bytes) {
  core::bf16* __restrict out = reinterpret_cast<core::bf16*>(bytes);
  if (rounding == Rounding::stochastic) {
    for (int64_t i = 0; i < n; ++i) core::narrow_stochastic(values[i], bits[i], out[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) core::narrow(values[i], out[i]);
  }
}

}  // namespace

void decode_slot(const SlotPlan& slot, const std::byte* state, const SlotRange& range, uint32_t writes, float* values) {
  const std::byte* bytes = state + first_byte(slot, range);
  if (slot.storage == Storage::fp32) {
    std::memcpy(values, bytes, size_t(range.count) * sizeof(float));
    return;
  }
  if (slot.storage == Storage::bf16) {
    const core::bf16* __restrict stored = reinterpret_cast<const core::bf16*>(bytes);
    for (int64_t i = 0; i < range.count; ++i) values[i] = core::widen(stored[i]);
    return;
  }
  const core::RoundingStream stream = stream_of(slot, writes - 1u);
  const int words = core::scale_words(slot.storage);
  const float* stored = core::at<const float>(state, first_scale(slot, range));
  for (int64_t i = 0; i < range.count; i += slot.block, stored += words) {
    const int64_t n = std::min<int64_t>(slot.block, range.count - i);
    const bool beside =
        core::is_mutant(core::Mutant::neighbour_scale) && (range.first + i) / slot.block + 1 < slot.row_blocks;
    const float* scale = beside ? stored + words : stored;
    const float delta = slot.rounding == Rounding::dither
                            ? core::draw_dither(stream, (range.first + i) / slot.block, range.row, range.slice)
                            : 0.0f;
    const std::byte* codes = bytes + core::row_bytes(slot.storage, i);
    if (core::is_uniform(slot.storage)) {
      decode_uniform(slot.storage, core::uniform_block(slot.storage, slot.rounding, scale[0], delta), codes, n,
                     values + i);
      continue;
    }
    const core::BlockDecoder d = core::block_decoder(slot.storage, {scale[0], scale[words - 1]}, slot.rounding, delta);
    if (slot.storage == Storage::al16) {
      decode_moments<uint16_t>(slot.storage, d, codes, n, values + i);
    } else {
      decode_moments<uint8_t>(slot.storage, d, codes, n, values + i);
    }
  }
}

void encode_slot(const SlotPlan& slot, std::byte* state, const SlotRange& range, uint32_t writes, const float* values) {
  std::byte* bytes = state + first_byte(slot, range);
  if (slot.storage == Storage::fp32) {
    float* to = reinterpret_cast<float*>(bytes);
    for (int64_t i = 0; i < range.count; ++i) to[i] = core::canonical(values[i]);
    return;
  }
  const core::RoundingStream stream = stream_of(slot, writes);
  const bool stochastic = slot.rounding == Rounding::stochastic;
  uint32_t bits[kMostInBlock];
  if (slot.storage == Storage::bf16) {
    for (int64_t i = 0; i < range.count; i += kMostInBlock) {
      const int64_t n = std::min(kMostInBlock, range.count - i);
      if (stochastic) draw_row(stream, range.slice, range.row, range.first + i, n, bits);
      encode_bf16(slot.rounding, values + i, bits, n, bytes + core::row_bytes(slot.storage, i));
    }
    return;
  }
  const int words = core::scale_words(slot.storage);
  float* stored = core::at<float>(state, first_scale(slot, range));
  for (int64_t i = 0; i < range.count; i += slot.block, stored += words) {
    const int64_t n = std::min<int64_t>(slot.block, range.count - i), first = range.first + i;
    if (core::is_mutant(core::Mutant::short_block_kept) && first > 0 && n < slot.block) break;
    if (stochastic) draw_row(stream, range.slice, range.row, first, n, bits);
    const float delta = slot.rounding == Rounding::dither
                            ? core::draw_dither(stream, first / slot.block, range.row, range.slice)
                            : 0.0f;
    std::byte* codes = bytes + core::row_bytes(slot.storage, i);
    if (core::is_uniform(slot.storage)) {
      const float scale = core::uniform_scale({0, high_bits(values + i, n)});
      const core::UniformBlock b = core::uniform_block(slot.storage, slot.rounding, scale, delta);
      encode_uniform(slot.storage, slot.rounding, b, values + i, bits, n, codes);
      if (!keeps_scale(writes)) stored[0] = scale;
      continue;
    }
    const core::BlockScale scale = core::block_scale(slot.storage, block_range(values + i, n));
    const core::BlockEncoder e = core::block_encoder(slot.storage, scale, slot.rounding, delta);
    if (slot.storage == Storage::al16) {
      encode_moments<uint16_t>(slot.storage, slot.rounding, e, values + i, bits, n, codes);
    } else {
      encode_moments<uint8_t>(slot.storage, slot.rounding, e, values + i, bits, n, codes);
    }
    if (keeps_scale(writes)) continue;
    stored[words - 1] = scale.r;
    stored[0] = scale.lo;
  }
}

}  // namespace plumbline
