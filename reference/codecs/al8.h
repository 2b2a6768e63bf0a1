// al8, adaptive logarithmic 8-bit codes [Wang 2026, arXiv 2608.22322; zero code and clamps are plumbline's]:
//   code 0 <=> value 0; else code = clamp(round_even((l - lo)/r 254 + 1), 1, 255), l = log2 v
//   decoded 2^((code - 1) r/254 + lo)
//   lo, hi the range of l in the block, lo = hi - 1 if equal, r = hi - lo; all zero: lo = 0, r = 1; non-finite: lo =
//   NaN
#pragma once
#include <cstdint>

#include "reference/codecs/log_codec.h"

namespace plumbline::reference {

struct Al8 {
  using Scale = LogScale;
  static constexpr int kSteps = 254;  // between codes 1 and 255

  static Scale scale_of(std::span<const double> values);  // unrounded; see LogScale::stored
  static Scale scale_of(const LogRange& range);
  static double decode(uint8_t code, Scale scale);
  // (l - lo)/r 254 + 1 before rounding and clamp; 0 for the value 0, NaN where the block decodes to NaN.
  static double unrounded_code(double value, Scale scale);
  static uint8_t encode(double value, Scale scale);
  // Largest |decode(encode(v)) - v| for a value whose l lies within the scale.
  static double half_step(double value, Scale scale);
};

}  // namespace plumbline::reference
