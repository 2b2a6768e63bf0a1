// Even signed codes for momentum: scale = max |x|, at least 1e-12; code = clamp(round_even(x/scale H), low, high);
// decoded code scale/H.
#pragma once
#include <cstdint>
#include <span>

namespace plumbline::reference {

struct UniformCodec {
  int steps = 7;           // H
  int low = -7, high = 7;  // codes
  static constexpr double kSmallestScale = 1e-12;

  double scale_of(std::span<const double> values) const;  // unrounded; NaN where a value is not finite
  double decode(int code, double scale) const;
  double unrounded_code(double value, double scale) const;  // x/scale H before rounding and clamp
  int encode(double value, double scale) const;
};

inline constexpr UniformCodec kUf4{7, -7, 7};
inline constexpr UniformCodec kUf8{127, -127, 127};
// adafactor8bit's 4 bits: the largest positive value is clamped to 7/8 of itself, the largest negative one is not.
inline constexpr UniformCodec kAdafactor8bitMomentum{8, -8, 7};

}  // namespace plumbline::reference
