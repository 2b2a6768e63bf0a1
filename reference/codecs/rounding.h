// How a code is rounded, and where its random numbers come from: a counter-based generator, so that a write of state is
// reproduced from (seed, slot, place, number of the write) alone.
//   nearest     round half to even
//   stochastic  up with probability (v - v_k)/(v_{k+1} - v_k) in decoded values: unbiased in v
//   dither      subtractive, one offset d in (-1/2, 1/2) for a whole block: stored round(x + d), read back as code - d,
//               so that the error is even and independent of the value      [Schuchman 1964; Gray & Stockham 1993]
#pragma once
#include <cstdint>

namespace plumbline::reference {

enum class Rounding : uint8_t { nearest, stochastic, dither };

// The stream of a slot of the tensor that has this place in its optimizer.
constexpr uint32_t stream_number(uint32_t place, uint32_t slot) { return 16 * place + slot; }

// The random numbers of one write of one slot: Philox4x32-10 with key (seed, stream).
struct RoundingStream {
  uint32_t seed = 0;
  uint32_t stream = 0;  // stream_number
  uint32_t writes = 0;  // of the slot before this one: 0 for the first, and again when that is decoded

  // For stochastic rounding: u = (b + 1/2) 2^-16 in (0, 1), b one of the eight 16-bit halves of the words of counter
  // (column/8, row, slice, writes), the lower half of a word first (from column 2^35 on, the row takes the bits of
  // column/8 that the first word has no room for). Up where u < p: exact for p a multiple of 2^-16.
  double uniform(int64_t column, int64_t row, int64_t slice) const;
  // For dither: d = (b + 1/2) 2^-16 - 1/2, b the lower half of the first word of counter (block, row, slice, writes).
  double offset(int64_t block, int64_t row, int64_t slice) const;
};

// Where a stored value may lie that was made of v.
struct Interval {
  double low = 0, high = 0;
  bool contains(double x) const { return low <= x && x <= high; }
};

}  // namespace plumbline::reference
