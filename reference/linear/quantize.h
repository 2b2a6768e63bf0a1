// Symmetric int8 quantization of rows (tokens of activations, output channels of weights):
//   s = max(absmax/127, 1e-30),  q = clamp(round_half_even(x/s), -127, 127),  x ≈ q s.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "reference/tensor.h"

namespace plumbline::reference {

inline constexpr double kInt8Codes = 127;
inline constexpr double kInt8ScaleFloor = 1e-30;

// Where a scale was computed. PyTorch divides by a scalar by way of its reciprocal and rounds to the input's type.
enum class ScaleRule : uint8_t {
  real,           // absmax/127
  torch_float32,  // fl32(absmax · fl32(1/127)), floor fl32(1e-30)
  torch_bfloat16  // the same, product and floor rounded to bfloat16
};

// The scale of one row; NaN where a value is not finite.
double int8_scale(std::span<const double> row, ScaleRule rule = ScaleRule::real);
// The code of x under a scale. The quotient is rounded to float32 before it is rounded to an integer, because the layer
// is defined on float32: its ties (63.5 = 0.5 absmax/s) are ties of that quotient, and a double one lies beside them.
// NaN scale: 0.
int int8_code(double x, double scale);

struct QuantizedRows {
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> codes;   // rows x columns
  std::vector<double> scales;  // rows
};
QuantizedRows quantize_rows(const Matrix& x, ScaleRule rule = ScaleRule::real);
// q s
Matrix dequantize_rows(const QuantizedRows& q);

}  // namespace plumbline::reference
