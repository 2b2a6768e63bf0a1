// 1 - beta^t for the bias correction of averages that start from 0: relative error below 2^-48 for 0 <= beta < 1 and
// t < 2^32, also where beta^t is near 1.                                               [Kingma & Ba 2015, sec. 3]
#pragma once
#include "cuda/core/power.h"

namespace plumbline::core {

PLUMBLINE_HD DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble p = two_product(a.hi, b.hi);
  return quick_two_sum(p.hi, p.lo + fma(a.hi, b.lo, a.lo * b.hi));
}

// By repeated squaring: an error of about 2^-104 t, against 1 - beta^t >= min(t, 1/(1 - beta)) 2^-54.
PLUMBLINE_HD double one_minus_power(double beta, int64_t t) {
  DoubleDouble power = {1.0, 0.0}, square = {beta, 0.0};
  for (int64_t digits = t; digits != 0; digits >>= 1) {
    if ((digits & 1) != 0) power = multiply(power, square);
    square = multiply(square, square);
  }
  const DoubleDouble difference = two_sum(1.0, -power.hi);
  return difference.hi + (difference.lo - power.lo);
}

}  // namespace plumbline::core
