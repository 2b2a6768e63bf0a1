// linear_u8, even 8-bit codes from 0 to the block's largest value:
//   scale = max(v), at least 2^-100; code = round_even(255 v/scale); decoded code scale/255, but code 0, which all up
//   to scale/510 have, scale/510: nothing is read as zero; non-finite: scale = NaN
// Stochastically, values above scale/510 are rounded to their neighbours among what codes decode to.
// No dither: its decoded values could turn negative.
#pragma once
#include <cstdint>
#include <span>

#include "reference/codecs/rounding.h"

namespace plumbline::reference {

// Stored as one float32.
struct LinearScale {
  double scale = 0x1p-100;

  LinearScale stored() const { return {static_cast<float>(scale)}; }  // rounded to nearest
  bool operator==(const LinearScale&) const = default;
};

struct LinearU8 {
  using Scale = LinearScale;
  static constexpr int kSteps = 255;
  static constexpr double kSmallestScale = 0x1p-100;

  static Scale scale_of(std::span<const double> values);  // unrounded
  static double decode(uint8_t code, Scale scale);
  // 255 v/scale before rounding and clamp; NaN where the block decodes to NaN.
  static double unrounded_code(double value, Scale scale);
  static uint8_t encode(double value, Scale scale);
  static uint8_t encode_stochastic(double value, Scale scale, double u);  // u of RoundingStream::uniform
  // Largest |decode(encode(v)) - v| for 0 <= v <= scale.
  static double half_step(double value, Scale scale);
  // What a value may be stored as; for dither as for nearest, there being none.
  static Interval reach(double value, Scale scale, Rounding rounding);
};

}  // namespace plumbline::reference
