#include "reference/linear/e4m3.h"

#include <cmath>
#include <limits>

namespace plumbline::reference {

double decode_e4m3(uint8_t code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const double sign = code & 0x80 ? -1 : 1;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
  if (exponent == 0) return sign * std::ldexp(mantissa, -9);  // mantissa/8 · 2^-6
  return sign * std::ldexp(8 + mantissa, exponent - 10);      // (1 + mantissa/8) · 2^(exponent - 7)
}

}  // namespace plumbline::reference
