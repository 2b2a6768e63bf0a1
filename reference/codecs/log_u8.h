// log_u8, logarithmic 8-bit codes with a fixed floor of 2^-126 and no code for zero [Wang 2026, arXiv 2608.22322]:
//   code = clamp(round_even((l + 126)/r 255), 0, 255), l = log2 max(v, 2^-126); decoded 2^(code r/255 - 126)
//   lo = -126, r = hi - lo, hi the largest l in the block, hi = lo + 1 if hi <= lo; non-finite: lo = NaN
#pragma once
#include <cstdint>

#include "reference/codecs/log_codec.h"

namespace plumbline::reference {

struct LogU8 {
  using Scale = LogScale;
  static constexpr int kSteps = 255;

  static Scale scale_of(std::span<const double> values);  // unrounded; see LogScale::stored
  static Scale scale_of(const LogRange& range);
  static double decode(uint8_t code, Scale scale);
  // (l - lo)/r 255 before rounding and clamp; NaN where the block decodes to NaN.
  static double unrounded_code(double value, Scale scale);
  static uint8_t encode(double value, Scale scale);
  // Largest |decode(encode(v)) - v| for a value whose l lies within the scale.
  static double half_step(double value, Scale scale);
};

}  // namespace plumbline::reference
