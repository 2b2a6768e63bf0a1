#include "reference/linear/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace plumbline::reference {
namespace {

// Nearest bfloat16 of a float32, ties to even; finite values only.
double to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace

double int8_scale(std::span<const double> row, ScaleRule rule) {
  double absmax = 0;
  for (const double x : row) {
    if (!std::isfinite(x)) return std::numeric_limits<double>::quiet_NaN();
    absmax = std::max(absmax, std::fabs(x));
  }
  if (rule == ScaleRule::real) return std::max(absmax / kInt8Codes, kInt8ScaleFloor);
  const float product = float(absmax) * (1.0f / 127.0f), floor = 1e-30f;
  if (rule == ScaleRule::torch_bfloat16) return std::max(to_bfloat16(product), to_bfloat16(floor));
  return std::max(product, floor);
}

int int8_code(double x, double scale) {
  if (std::isnan(scale)) return 0;
  const double quotient = double(float(x / scale));
  return int(std::clamp(std::nearbyint(quotient), -kInt8Codes, kInt8Codes));
}

QuantizedRows quantize_rows(const Matrix& x, ScaleRule rule) {
  QuantizedRows q{x.rows(), x.cols(), std::vector<int8_t>(size_t(x.size())), std::vector<double>(size_t(x.rows()))};
  for (int64_t i = 0; i < x.rows(); ++i) {
    const std::span<const double> row(x.data() + i * x.cols(), size_t(x.cols()));
    const double scale = q.scales[size_t(i)] = int8_scale(row, rule);
    for (int64_t k = 0; k < x.cols(); ++k) q.codes[size_t(i * x.cols() + k)] = int8_t(int8_code(x(i, k), scale));
  }
  return q;
}

Matrix dequantize_rows(const QuantizedRows& q) {
  Matrix x(q.rows, q.columns);
  for (int64_t i = 0; i < q.rows; ++i)
    for (int64_t k = 0; k < q.columns; ++k) x(i, k) = q.codes[size_t(i * q.columns + k)] * q.scales[size_t(i)];
  return x;
}

}  // namespace plumbline::reference
