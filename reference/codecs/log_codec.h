// Logarithmic codes of non-negative values: an even grid of l = log2 v over the range of a block.
//                                                [Wang 2026, arXiv 2608.22322; zero code and clamps are plumbline's]
//   x = (l - lo)/r K + first, K = last - first; code = clamp(round_even(x), first, last)
//   decoded 2^((code - first) r/K + lo)
//   dither: x = (l - lo)/r (K - 1) + first + 1/2, code = round_even(x + d); decoded a/sinh a 2^((code - first - 1/2 -
//   d) r/(K - 1) + lo), a = ln 2 r/(2 (K - 1)): the mean of 2^e over an error e even within half a step is sinh a/a
// first = 1: code 0 <=> value 0 and zeros do not count in the range; first = 0: a zero counts as the smallest value.
#pragma once
#include <optional>
#include <span>

#include "reference/codecs/log_scale.h"
#include "reference/codecs/rounding.h"

namespace plumbline::reference {

struct LogCodec {
  int first = 1;                      // lowest code of a value above 0: 1, or 0 without a zero code
  int last = 255;                     // highest code
  std::optional<double> lo_always{};  // lo of every block; none: its smallest l

  bool has_zero() const { return first == 1; }
  int steps() const { return last - first; }

  // lo, hi the range of l, r = hi - lo; equal: lo = hi - 1. All zero: lo = 0, r = 1. With lo_always: r = 1 where hi <=
  // lo. Not finite, or negative: lo = NaN. Unrounded; see LogScale::stored.
  LogScale scale_of(const LogRange& range) const;
  LogScale scale_of(std::span<const double> values) const;

  // x before rounding and clamp; 0 for the value 0 where it has a code, NaN where the block decodes to NaN.
  double unrounded_code(double value, LogScale scale) const;

  int encode(double value, LogScale scale) const;                       // nearest
  int encode_stochastic(double value, LogScale scale, double u) const;  // u of RoundingStream::uniform
  int encode_dither(double value, LogScale scale, double offset) const;
  double decode(int code, LogScale scale) const;  // nearest, stochastic
  double decode_dither(int code, LogScale scale, double offset) const;

  // What a value may be stored as: half a step of l either way, the two codes around it, or the dithered half step.
  Interval reach(double value, LogScale scale, Rounding rounding) const;
  // Largest |decode(encode(v)) - v| of nearest for a value whose l lies within the scale.
  double half_step(double value, LogScale scale) const;
};

inline constexpr LogCodec kAl8{1, 255};
inline constexpr LogCodec kAl16{1, 65535};
inline constexpr LogCodec kLogU8{0, 255, -126.0};

}  // namespace plumbline::reference
