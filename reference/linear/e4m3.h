// FP8 E4M3 (OCP 8-bit floating point, 2023): sign, 4 bits of exponent with bias 7, 3 of mantissa; subnormals; no
// infinities; all ones is NaN. Largest value 448.
#pragma once
#include <cstdint>

namespace plumbline::reference {

double decode_e4m3(uint8_t code);

}  // namespace plumbline::reference
