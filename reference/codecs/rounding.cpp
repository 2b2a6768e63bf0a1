#include "reference/codecs/rounding.h"

#include <array>
#include <cstddef>

#include "reference/projections/philox.h"

namespace plumbline::reference {
namespace {

uint32_t word_of(int64_t index) { return static_cast<uint32_t>(index); }

}  // namespace

double RoundingStream::uniform(int64_t column, int64_t row, int64_t slice) const {
  const int64_t group = column / 8;
  const auto words =
      philox4x32_10({word_of(group), word_of(row | group >> 32), word_of(slice), writes}, {seed, stream});
  const int64_t place = column % 8;
  const uint32_t half = words[static_cast<size_t>(place / 2)] >> (16 * (place % 2)) & 0xffff;
  return (half + 0.5) * 0x1p-16;
}

double RoundingStream::offset(int64_t block, int64_t row, int64_t slice) const {
  const auto words = philox4x32_10({word_of(block), word_of(row), word_of(slice), writes}, {seed, stream});
  return ((words[0] & 0xffff) + 0.5) * 0x1p-16 - 0.5;
}

}  // namespace plumbline::reference
