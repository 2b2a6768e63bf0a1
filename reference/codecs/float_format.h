// Binary floating point of few bits: bfloat16 and float16 as storage of momentum and parameters, as a real number is
// rounded to them. Subnormals are kept.
#pragma once
#include "reference/codecs/rounding.h"

namespace plumbline::reference {

struct FloatFormat {
  int precision;     // significant bits, the hidden one included
  int min_exponent;  // of the smallest normal number, 2^min_exponent
  double largest;    // finite

  // Distance of the two neighbours between which a magnitude lies.
  double spacing(double value) const;
  // To nearest, ties to even; an infinity from half a spacing above `largest` on. NaN stays NaN.
  double nearest(double value) const;
  // Away from zero with probability p = (|v| - |v_k|)/(|v_{k+1}| - |v_k|), v_k the neighbour towards zero: where p + u
  // >= 1, as adding the draw to the bits below the kept ones does; also as to infinity, for a value above `largest`.
  double stochastic(double value, double u) const;
  // Nearest: within half a spacing; stochastic: the two neighbours. There is no dither in a format without a block.
  Interval reach(double value, Rounding rounding) const;
};

inline constexpr FloatFormat kBfloat16{8, -126, 0x1.fep127};
inline constexpr FloatFormat kFloat16{11, -14, 65504};

}  // namespace plumbline::reference
