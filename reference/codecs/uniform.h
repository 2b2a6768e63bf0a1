// Even signed codes for momentum: scale = max |x|, at least 2^-100; code = clamp(round_even(x/scale H), low, high);
// decoded code scale/H. Stochastic rounding takes H - 1 for H and dither H - 3/2, so that nothing clamps:
//   stochastic  x/scale (H - 1) rounded up with the probability of its fraction; decoded code scale/(H - 1)
//   dither      round_even(x/scale (H - 3/2) + d); decoded (code - d) scale/(H - 3/2)
#pragma once
#include <cstdint>
#include <span>

#include "reference/codecs/rounding.h"

namespace plumbline::reference {

struct UniformCodec {
  int steps = 7;           // H
  int low = -7, high = 7;  // codes
  double smallest_scale = 0x1p-100;

  double scale_of(std::span<const double> values) const;    // unrounded; NaN where a value is not finite
  double decode(int code, double scale) const;              // nearest
  double unrounded_code(double value, double scale) const;  // x/scale H before rounding and clamp
  int encode(double value, double scale) const;

  int encode_stochastic(double value, double scale, double u) const;  // u of RoundingStream::uniform
  double decode_stochastic(int code, double scale) const;
  int encode_dither(double value, double scale, double offset) const;  // d of RoundingStream::offset
  double decode_dither(int code, double scale, double offset) const;

  // What a value of magnitude up to the scale may be stored as.
  Interval reach(double value, double scale, Rounding rounding) const;
};

inline constexpr UniformCodec kUf4{7, -7, 7};
inline constexpr UniformCodec kUf8{127, -127, 127};
// adafactor8bit's 4 bits: the largest positive value is clamped to 7/8 of itself, the largest negative one is not; its
// scale is at least 1e-12.
inline constexpr UniformCodec kAdafactor8bitMomentum{8, -8, 7, 1e-12};

}  // namespace plumbline::reference
