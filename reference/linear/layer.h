// The W8A8 linear layer of a LoRA training module. y = x wᵀ + b, x (tokens x inputs), w (outputs x inputs).
//
// int8: y_to = s_x(t) s_w(o) Σ_k q_x(t,k) q_w(o,k) + b_o, the sum over integers; up to 16 tokens y = x ŵᵀ + b with the
// dequantized weight ŵ = q_w s_w. fp8: the weight stays E4M3 and y = x ŵᵀ + b with ŵ = e4m3 · scale. In both, the
// gradient of the input is ∂L/∂x = (∂L/∂y) ŵ; there is none of the weight.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "reference/linear/quantize.h"

namespace plumbline::reference {

inline constexpr int64_t kSmallBatchTokens = 16;
// The largest number of inputs for which no sum of products of an activation, |q| <= 127, and a weight, which may be
// -128, leaves int32: floor((2^31 - 1)/(128 * 127)).
inline constexpr int64_t kExactAccumulatorInputs = 132'104;

enum class Fp8ScaleKind : uint8_t {
  tensor,   // one scale
  channel,  // one an output channel
  block     // one a block of inputs of an output channel, blocks of equal length
};

struct Fp8Matrix {
  int64_t outputs = 0, inputs = 0;
  std::vector<uint8_t> codes;  // outputs x inputs, E4M3
  Fp8ScaleKind kind = Fp8ScaleKind::channel;
  std::vector<double> scales;  // 1, outputs, or outputs x blocks

  int64_t blocks() const { return kind == Fp8ScaleKind::block ? int64_t(scales.size()) / outputs : 1; }
};
// Throws std::invalid_argument where codes or scales do not fit the shape.
Matrix dequantize_fp8(const Fp8Matrix& w);

// Sums of products of codes; exact in int64. x: tokens, w: outputs; the result is tokens x outputs.
std::vector<int64_t> integer_product(const QuantizedRows& x, const QuantizedRows& w);

// s_x s_w acc + b; `bias` empty: none.
Matrix scaled_product(const QuantizedRows& x, const QuantizedRows& w, const Vector& bias);
// x wᵀ + b
Matrix linear(const Matrix& x, const Matrix& w, const Vector& bias);
// (∂L/∂y) w
Matrix input_gradient(const Matrix& grad_output, const Matrix& w);

// A layer with its weight in one of the two modes.
struct LinearLayer {
  std::optional<QuantizedRows> int8;  // mode int8
  Matrix dequantized;                 // ŵ, either mode
  Vector bias;                        // empty: none

  static LinearLayer quantized(const Matrix& weight, Vector bias, ScaleRule rule = ScaleRule::real);
  static LinearLayer from_codes(QuantizedRows weight, Vector bias);
  static LinearLayer fp8(const Fp8Matrix& weight, Vector bias);

  Matrix forward(const Matrix& x, ScaleRule rule = ScaleRule::real) const;
  Matrix backward(const Matrix& grad_output) const { return input_gradient(grad_output, dequantized); }
};

}  // namespace plumbline::reference
