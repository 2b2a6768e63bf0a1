#include "reference/linear/layer.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "reference/linear/e4m3.h"

namespace plumbline::reference {
namespace {

Matrix plus_bias(Matrix y, const Vector& bias) {
  if (bias.size() > 0) y.rowwise() += bias.transpose();
  return y;
}

int64_t wanted_scales(const Fp8Matrix& w) {
  switch (w.kind) {
    case Fp8ScaleKind::tensor:
      return 1;
    case Fp8ScaleKind::channel:
      return w.outputs;
    case Fp8ScaleKind::block:
      break;
  }
  const auto blocks = int64_t(w.scales.size()) / w.outputs;
  return blocks > 0 && w.inputs % blocks == 0 ? blocks * w.outputs : -1;
}

}  // namespace

Matrix dequantize_fp8(const Fp8Matrix& w) {
  if (w.outputs < 1 || w.inputs < 1 || int64_t(w.codes.size()) != w.outputs * w.inputs ||
      int64_t(w.scales.size()) != wanted_scales(w))
    throw std::invalid_argument(std::to_string(w.codes.size()) + " codes and " + std::to_string(w.scales.size()) +
                                " scales do not fit a weight of " + std::to_string(w.outputs) + " x " +
                                std::to_string(w.inputs));
  const int64_t block = w.inputs / w.blocks();
  Matrix out(w.outputs, w.inputs);
  for (int64_t o = 0; o < w.outputs; ++o)
    for (int64_t k = 0; k < w.inputs; ++k) {
      const int64_t s = w.kind == Fp8ScaleKind::tensor    ? 0
                        : w.kind == Fp8ScaleKind::channel ? o
                                                          : o * w.blocks() + k / block;
      out(o, k) = decode_e4m3(w.codes[size_t(o * w.inputs + k)]) * w.scales[size_t(s)];
    }
  return out;
}

std::vector<int64_t> integer_product(const QuantizedRows& x, const QuantizedRows& w) {
  if (x.columns != w.columns) throw std::invalid_argument("inputs of x and of the weight differ");
  std::vector<int64_t> out(size_t(x.rows * w.rows));
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t o = 0; o < w.rows; ++o) {
      const int8_t *a = x.codes.data() + t * x.columns, *b = w.codes.data() + o * w.columns;
      int64_t sum = 0;
      for (int64_t k = 0; k < x.columns; ++k) sum += int64_t(a[k]) * b[k];
      out[size_t(t * w.rows + o)] = sum;
    }
  return out;
}

Matrix scaled_product(const QuantizedRows& x, const QuantizedRows& w, const Vector& bias) {
  const std::vector<int64_t> sums = integer_product(x, w);
  Matrix y(x.rows, w.rows);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t o = 0; o < w.rows; ++o)
      y(t, o) = double(sums[size_t(t * w.rows + o)]) * x.scales[size_t(t)] * w.scales[size_t(o)];
  return plus_bias(std::move(y), bias);
}

Matrix linear(const Matrix& x, const Matrix& w, const Vector& bias) {
  return plus_bias((x.matrix() * w.matrix().transpose()).array(), bias);
}

Matrix input_gradient(const Matrix& grad_output, const Matrix& w) {
  return (grad_output.matrix() * w.matrix()).array();
}

LinearLayer LinearLayer::quantized(const Matrix& weight, Vector bias, ScaleRule rule) {
  return from_codes(quantize_rows(weight, rule), std::move(bias));
}

LinearLayer LinearLayer::from_codes(QuantizedRows weight, Vector bias) {
  LinearLayer layer;
  layer.dequantized = dequantize_rows(weight);
  layer.int8 = std::move(weight);
  layer.bias = std::move(bias);
  return layer;
}

LinearLayer LinearLayer::fp8(const Fp8Matrix& weight, Vector bias) {
  LinearLayer layer;
  layer.dequantized = dequantize_fp8(weight);
  layer.bias = std::move(bias);
  return layer;
}

Matrix LinearLayer::forward(const Matrix& x, ScaleRule rule) const {
  if (!int8 || x.rows() <= kSmallBatchTokens) return linear(x, dequantized, bias);
  return scaled_product(quantize_rows(x, rule), *int8, bias);
}

}  // namespace plumbline::reference
