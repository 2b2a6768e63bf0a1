// Random numbers of one write of one slot, for roundings that are not to nearest. They depend on the seed, the slot,
// the place of a value and the number of the write alone, so that a write is reproduced by whoever reads it.
//   stochastic  u = (b + 1/2) 2^-16 in (0, 1) per value: eight values a Philox call
//   dither      delta = (b + 1/2) 2^-16 - 1/2 in (-1/2, 1/2), one per block          [Gray & Stockham 1993]
#pragma once
#include "cuda/core/philox.h"

namespace plumbline::core {

constexpr int kDraws = 8;           // values that one Philox call serves: consecutive columns from a multiple of 8 on
constexpr int kParameterSlot = 15;  // the slot number of 16-bit parameters

// key = (seed, 16 tensor + slot); writes of the slot before this one.
struct RoundingStream {
  PhiloxKey key;
  uint32_t writes;
};
PLUMBLINE_HD RoundingStream rounding_stream(uint32_t seed, uint32_t tensor, int slot, uint32_t writes) {
  return {{seed, tensor * 16u + uint32_t(slot)}, writes};
}

// Words for columns [8 group, 8 group + 8) of a row; bits of the group that leave its word join the row's.
PLUMBLINE_HD PhiloxWords draw_group(const RoundingStream& s, int64_t group, int64_t row, int64_t slice) {
  const uint32_t writes = is_mutant(Mutant::random_repeats) ? 0u : s.writes;
  return philox({uint32_t(group), uint32_t(row) | uint32_t(group >> 32), uint32_t(slice), writes}, s.key);
}
// The 16 bits of column 8 group + e.
PLUMBLINE_HD uint32_t draw_bits(const PhiloxWords& words, int e) {
  return (word_of(words, e >> 1) >> (16 * (e & 1))) & 0xffffu;
}
PLUMBLINE_HD uint32_t draw_bits(const RoundingStream& s, int64_t column, int64_t row, int64_t slice) {
  return draw_bits(draw_group(s, column / kDraws, row, slice), int(column % kDraws));
}

// Both exact.
PLUMBLINE_HD float uniform_of(uint32_t bits) { return float(2 * int(bits) + 1) * 0x1p-17f; }
PLUMBLINE_HD float dither_of(uint32_t bits) { return float(2 * int(bits) + 1 - 0x10000) * 0x1p-17f; }

PLUMBLINE_HD float draw_dither(const RoundingStream& s, int64_t block, int64_t row, int64_t slice) {
  return dither_of(philox({uint32_t(block), uint32_t(row), uint32_t(slice), s.writes}, s.key).w0 & 0xffffu);
}

// Whether x is rounded up from `low` to `high`, its decoded neighbours: with probability (x - low)/(high - low).
PLUMBLINE_HD bool rounds_up(float x, float low, float high, float u) {
  if (is_mutant(Mutant::stochastic_inverted)) return x - low <= u * (high - low);
  return x - low > u * (high - low);
}

}  // namespace plumbline::core
