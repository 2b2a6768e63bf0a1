// Rows to codes: a block a row, whose values are read once where they fit in registers.
#pragma once
#include "cuda/linear/weight.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kQuantizeThreads = 256;
inline constexpr int kKeptGroups = 2;  // of a thread

template <class T>
struct FloatRows {
  const T* values;
  int64_t columns;
  PLUMBLINE_DEVICE Group load(int64_t row, int64_t g) const {
    const bool whole = columns % linear::kGroup == 0;
    return load_row(values + row * columns, columns, g, whole);
  }
};
struct WeightRows {
  linear::StoredWeight weight;
  PLUMBLINE_DEVICE Group load(int64_t row, int64_t g) const { return load_weight(weight, row, g); }
};

struct QuantizeShared {
  uint32_t warp[kWarp];
};

PLUMBLINE_DEVICE uint32_t block_max(uint32_t x, QuantizeShared& shared) {
  const auto larger = [](uint32_t a, uint32_t b) { return a > b ? a : b; };
  PLUMBLINE_UNROLL
  for (int distance = 1; distance < kWarp; distance *= 2) x = larger(x, shuffle_xor(x, distance));
  if (thread_index() % kWarp == 0) shared.warp[thread_index() / kWarp] = x;
  block_barrier();
  x = 0;
  for (int w = 0; w < block_size() / kWarp; ++w) x = larger(x, shared.warp[w]);
  return x;
}

PLUMBLINE_DEVICE void store_codes(int8_t* to, const Group& group, float scale, linear::Fault fault) {
  Bits<16> bytes = {};
  PLUMBLINE_UNROLL
  for (int i = 0; i < linear::kGroup; ++i)
    bytes.word[i / 4] |= uint32_t(uint8_t(linear::code_of(group.x[i], scale, fault))) << (i % 4 * 8);
  store<16>(to, bytes);
}

template <class Rows>
PLUMBLINE_KERNEL(kQuantizeThreads, 2)
quantize_rows(Rows rows, int64_t groups, int64_t pitch, int8_t* codes, float* scales, linear::Fault asked) {
  PLUMBLINE_SHARED(QuantizeShared, shared);
  const linear::Fault fault = linear::active(asked);
  const int64_t row = block_index(), step = block_size();
  Group kept[kKeptGroups];
  uint32_t largest = 0;
  const auto include = [&](const Group& group) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < linear::kGroup; ++i) {
      const uint32_t bits = linear::magnitude_bits(group.x[i]);
      largest = bits > largest ? bits : largest;
    }
  };
  PLUMBLINE_UNROLL
  for (int i = 0; i < kKeptGroups; ++i) {
    const int64_t g = thread_index() + i * step;
    if (g < groups) {
      kept[i] = rows.load(row, g);
      include(kept[i]);
    }
  }
  for (int64_t g = thread_index() + kKeptGroups * step; g < groups; g += step) include(rows.load(row, g));
  if (fault == linear::Fault::scale_per_tensor)
    for (int64_t other = 0; other < grid_size(); ++other)
      for (int64_t g = thread_index(); g < groups; g += step) include(rows.load(other, g));
  const float scale = linear::scale_of(block_max(largest, shared), fault);
  if (thread_index() == 0) scales[row] = scale;

  int8_t* to = codes + row * pitch;
  PLUMBLINE_UNROLL
  for (int i = 0; i < kKeptGroups; ++i) {
    const int64_t g = thread_index() + i * step;
    if (g < groups) store_codes(to + g * linear::kGroup, kept[i], scale, fault);
  }
  for (int64_t g = thread_index() + kKeptGroups * step; g < groups; g += step)
    store_codes(to + g * linear::kGroup, rows.load(row, g), scale, fault);
  // the rest of the pitch
  for (int64_t g = groups + thread_index(); g < pitch / linear::kGroup; g += step)
    store<16>(to + g * linear::kGroup, Bits<16>{});
}

template <class T>
PLUMBLINE_KERNEL(256, 1)
widen_values(float* to, const T* from, int64_t count) {
  for (int64_t i = int64_t(block_index()) * block_size() + thread_index(); i < count;
       i += int64_t(grid_size()) * block_size())
    to[i] = core::widen(from[i]);
}

PLUMBLINE_KERNEL(256, 1)
copy_padded_rows(uint8_t* to, int64_t to_pitch, const uint8_t* from, int64_t from_pitch, int64_t width, int64_t rows) {
  for (int64_t row = block_index(); row < rows; row += grid_size())
    for (int64_t i = thread_index(); i < to_pitch; i += block_size())
      to[row * to_pitch + i] = i < width ? from[row * from_pitch + i] : uint8_t(0);
}

}  // namespace plumbline::PLUMBLINE_TARGET
