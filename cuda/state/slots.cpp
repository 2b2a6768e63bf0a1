#include "cuda/state/slots.h"

#include <algorithm>
#include <cstring>

#include "cuda/core/codec.h"

namespace plumbline {
namespace {

// One loop per format, so that the choice stays outside of it and the loop becomes vector code.
void decode_block(Storage storage, const uint8_t* __restrict codes, core::BlockScale scale, int64_t n,
                  float* __restrict values) {
  const core::BlockDecoder d = core::block_decoder(storage, scale);
  if (storage == Storage::al8) {
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_al8(float(codes[i]), d);
  } else if (storage == Storage::log_u8) {
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_log_u8(float(codes[i]), d);
  } else {
    for (int64_t i = 0; i < n; ++i) values[i] = core::decode_linear_u8(float(codes[i]), d);
  }
}

core::BlockScale encode_block(Storage storage, const float* __restrict values, int64_t n, uint8_t* __restrict codes) {
  core::BlockRange range;
  uint32_t low = range.low, high = range.high;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = core::range_bits(values[i]);
    low = std::min(low, bits - 1u);
    high = std::max(high, bits);
  }
  const core::BlockScale scale = core::block_scale(storage, {low, high});
  if (storage == Storage::al8) {
    for (int64_t i = 0; i < n; ++i) codes[i] = uint8_t(int(core::encode_al8(values[i], scale)));
  } else if (storage == Storage::log_u8) {
    for (int64_t i = 0; i < n; ++i) codes[i] = uint8_t(int(core::encode_log_u8(values[i], scale)));
  } else {
    for (int64_t i = 0; i < n; ++i) codes[i] = uint8_t(int(core::encode_linear_u8(values[i], scale)));
  }
  return scale;
}

}  // namespace

void decode_slot(const SlotPlan& slot, const std::byte* state, int64_t slice, int64_t first, int64_t count,
                 float* values) {
  const int64_t start = slice * slot.matrix + first;
  if (!core::is_quantized(slot.storage)) {
    std::memcpy(values, core::at<const float>(state, slot.values) + start, size_t(count) * sizeof(float));
    return;
  }
  const uint8_t* codes = core::at<const uint8_t>(state, slot.values) + start;
  const int words = core::scale_words(slot.storage);
  const float* scale = core::at<const float>(state, slot.scales) + (slice * slot.blocks + first / slot.block) * words;
  for (int64_t i = 0; i < count; i += slot.block, scale += words) {
    decode_block(slot.storage, codes + i, {scale[0], scale[words - 1]}, std::min<int64_t>(slot.block, count - i),
                 values + i);
  }
}

void encode_slot(const SlotPlan& slot, std::byte* state, int64_t slice, int64_t first, int64_t count,
                 const float* values) {
  const int64_t start = slice * slot.matrix + first;
  if (!core::is_quantized(slot.storage)) {
    float* to = core::at<float>(state, slot.values) + start;
    for (int64_t i = 0; i < count; ++i) to[i] = core::canonical(values[i]);
    return;
  }
  uint8_t* codes = core::at<uint8_t>(state, slot.values) + start;
  const int words = core::scale_words(slot.storage);
  float* stored = core::at<float>(state, slot.scales) + (slice * slot.blocks + first / slot.block) * words;
  for (int64_t i = 0; i < count; i += slot.block, stored += words) {
    const core::BlockScale scale =
        encode_block(slot.storage, values + i, std::min<int64_t>(slot.block, count - i), codes + i);
    stored[words - 1] = scale.r;
    stored[0] = scale.lo;
  }
}

}  // namespace plumbline
