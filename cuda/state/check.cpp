#include "cuda/state/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/core/codec.h"
#include "cuda/core/number.h"
#include "cuda/core/uniform.h"

namespace plumbline {
namespace {

bool is_momentum(SlotKind kind) { return kind == SlotKind::momentum || kind == SlotKind::low_rank_momentum; }

template <class T>
T value_at(std::span<const std::byte> bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + size_t(i) * sizeof(T), sizeof(T));
  return value;
}

// A float32 or bfloat16 value, widened.
bool is_stored_value(SlotKind kind, float x, uint32_t canonical_nan) {
  if (std::isnan(x)) return core::to_bits(x) == canonical_nan;
  return is_momentum(kind) || !std::signbit(x);
}

// Logarithms lie in [-126, 126], and lo = hi - 1 may reach -127.
bool is_log_scale(Storage storage, float lo, float r) {
  if (storage == Storage::log_u8 && lo != -126.0f) return false;
  return lo >= -127.0f && r > 0.0f && lo + r <= 127.0f;
}

// Blocks of one scale that is not a number hold code 0 alone, and so does momentum that was never written: scale 0.
enum class BlockOf : uint8_t { codes, zeros, nothing };
BlockOf block_of(Storage storage, const float* scale) {
  const float lo = scale[0], r = scale[core::scale_words(storage) - 1];
  if (std::isnan(lo)) {
    const bool good = core::to_bits(lo) == core::kCanonicalNan && (!core::is_log(storage) || r == 1.0f);
    return good ? BlockOf::zeros : BlockOf::nothing;
  }
  if (core::is_log(storage)) return is_log_scale(storage, lo, r) ? BlockOf::codes : BlockOf::nothing;
  if (core::is_uniform(storage) && core::to_bits(lo) == 0) return BlockOf::zeros;
  return lo >= core::kLinearFloor && std::isfinite(lo) ? BlockOf::codes : BlockOf::nothing;
}

// Code of value j of a row.
int code_at(Storage storage, const std::byte* row, int64_t j) {
  switch (storage) {
    case Storage::al16: {
      uint16_t code;
      std::memcpy(&code, row + 2 * j, sizeof code);
      return code;
    }
    case Storage::uf8:
      return int(int8_t(row[j]));
    case Storage::uf4: {
      const auto byte = uint8_t(row[j / 2]);
      return j % 2 == 0 ? core::high_nibble(byte) : core::low_nibble(byte);
    }
    default:
      return int(uint8_t(row[j]));
  }
}

std::string find_in_codes(const SlotPlan& slot, int64_t slices, std::span<const std::byte> values,
                          std::span<const float> scales) {
  const int words = core::scale_words(slot.storage);
  const bool is_signed = core::is_uniform(slot.storage);
  // codes are whole numbers: H rounded down, but for dither, where delta reaches half a code beyond
  const int largest = is_signed ? int(core::uniform_block(slot.storage, slot.rounding, 1.0f, 0.0f).limit) : 0xffff;
  const float* scale = scales.data();
  for (int64_t i = 0; i < slices * slot.rows(); ++i) {
    const std::byte* row = values.data() + i * slot.row_bytes;
    for (int64_t b = 0; b < slot.row_blocks; ++b, scale += words) {
      const BlockOf kind = block_of(slot.storage, scale);
      if (kind == BlockOf::nothing)
        return fmt::format("row {}, block {}: scale ({}, {}), expected one that encoding makes", i, b, scale[0],
                           scale[words - 1]);
      if (kind == BlockOf::codes && !is_signed) continue;  // every code has a meaning
      const int most = kind == BlockOf::zeros ? 0 : largest;
      const int64_t end = std::min<int64_t>(slot.row, (b + 1) * slot.block);
      for (int64_t j = b * slot.block; j < end; ++j) {
        const int code = code_at(slot.storage, row, j);
        if (std::abs(code) > most)
          return fmt::format("row {}, value {}: code {}, expected {} to {}", i, j, code, is_signed ? -most : 0, most);
      }
    }
    if (slot.storage == Storage::uf4 && slot.row % 2 != 0 && code_at(slot.storage, row, slot.row) != 0)
      return fmt::format("row {}: the unused half of its last byte is {}, expected 0", i,
                         code_at(slot.storage, row, slot.row));
  }
  return {};
}

}  // namespace

std::string find_fault(SlotKind kind, const SlotPlan& slot, int64_t slices, std::span<const std::byte> values,
                       std::span<const float> scales) {
  if (core::is_quantized(slot.storage)) return find_in_codes(slot, slices, values, scales);
  const bool wide = slot.storage == Storage::fp32;
  const uint32_t nan = wide ? core::kCanonicalNan : 0x7fff0000u;
  for (int64_t i = 0; i < slot.count; ++i) {
    const float x = wide ? value_at<float>(values, i) : core::widen(core::bf16{value_at<uint16_t>(values, i)});
    if (!is_stored_value(kind, x, nan))
      return std::isnan(x) ? fmt::format("value {}: a NaN that is not the canonical one", i)
                           : fmt::format("value {}: {}, expected >= 0", i, x);
  }
  return {};
}

}  // namespace plumbline
