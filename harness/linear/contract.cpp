#include "harness/linear/contract.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::harness {
namespace {

using reference::Matrix;
using reference::QuantizedRows;
using reference::Vector;

constexpr double kUnit = 0x1p-24, kDoubleUnit = 0x1p-53, kUnderflow = 0x1p-150;
constexpr double kOverflow = 0x1p128 * (1 - 0x1p-25);  // from here on float32 rounds to infinity
constexpr double kSigmas = 6;

double gamma(double roundings) { return roundings * kUnit / (1 - roundings * kUnit); }

Matrix matrix_product(const Matrix& a, const Matrix& b_transposed) {
  return (a.matrix() * b_transposed.matrix().transpose()).array();
}

}  // namespace

LinearBound product_bound(const LinearProblem& problem, const QuantizedRows& x, const QuantizedRows& w,
                          const Vector& bias) {
  LinearBound out;
  const std::vector<int64_t> sums = reference::integer_product(x, w);
  out.expected.resize(x.rows, w.rows);
  out.bound.resize(x.rows, w.rows);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t o = 0; o < w.rows; ++o) {
      const double sum = double(sums[size_t(t * w.rows + o)]), s_x = x.scales[size_t(t)], s_w = w.scales[size_t(o)];
      const double b = bias.size() > 0 ? bias[o] : 0, first = sum * s_x, product = first * s_w, y = product + b;
      out.expected(t, o) =
          std::fabs(first) >= kOverflow ? std::copysign(std::numeric_limits<double>::infinity(), first) : y;
      const double roundings = 1 + (std::fabs(sum) > 0x1p24);  // of the product's first factor; the conversion's
      const double before = std::fabs(product) * gamma(roundings) + kUnderflow * s_w;
      // the reference: two products, a sum
      const double own = kDoubleUnit * (3 * std::fabs(product) + 2 * std::fabs(y));
      out.bound(t, o) = before + kUnit * (std::fabs(y) + before) + kUnderflow + own;
    }
  if (problem.regime == LayerRegime::integers && problem.layer.empty()) out.bound.setZero();
  return out;
}

LinearBound sum_bound(const Matrix& a, const Matrix& w, bool transposed, const Vector& bias, int64_t path, bool exact) {
  LinearBound out;
  const int64_t summed = a.cols();
  const auto times = [&](const Matrix& left, const Matrix& right) {
    return transposed ? matrix_product(left, right) : Matrix((left.matrix() * right.matrix()).array());
  };
  const Matrix sizes = times(a.abs(), w.abs());
  out.expected = times(a, w);
  if (bias.size() > 0) out.expected.rowwise() += bias.transpose();
  if (exact) {
    out.bound = Matrix::Zero(out.expected.rows(), out.expected.cols());
    return out;
  }
  // one rounding for the dequantized weight; what each operation may lose below 2^-126; the reference's own
  out.bound = sizes * (gamma(double(path + 1)) + double(summed + 4) * kDoubleUnit);
  out.bound.colwise() += kUnderflow * (double(summed + path) + a.abs().rowwise().sum());
  out.bound += kUnit * (out.expected.abs() + out.bound) + kUnderflow;  // the sum with the bias
  // A part of the sum may be an infinity where all of it is none.
  out.bound = (sizes + out.bound < kOverflow).select(out.bound, std::numeric_limits<double>::infinity());
  // A weight may be an infinity: then so is what it is multiplied by, or NaN of a zero.
  const Matrix beyond = (w.abs() >= kOverflow).cast<double>();
  if ((beyond > 0).any()) {
    const Matrix reached = times(Matrix::Ones(a.rows(), a.cols()), beyond);
    out.bound = (reached > 0).select(std::numeric_limits<double>::infinity(), out.bound);
  }
  return out;
}

LinearBound quantization_bound(const LinearProblem& problem, const LinearValues& values, const QuantizedRows* x,
                               const QuantizedRows& w, const LinearBound& arithmetic) {
  // x̂ŵ - xw = (x̂ - x)ŵ + x(ŵ - w), and a value of zero has a code of zero
  const auto step_errors = [](const Matrix& exact, const std::vector<double>& scales, double before) {
    Matrix e(exact.rows(), exact.cols());
    for (int64_t i = 0; i < e.rows(); ++i)
      for (int64_t k = 0; k < e.cols(); ++k)
        e(i, k) = exact(i, k) == 0 ? 0 : scales[size_t(i)] * (0.5 + 128 * kUnit) + before * std::fabs(exact(i, k));
    return e;
  };
  LinearBound out;
  out.expected = reference::linear(values.x, values.weight, values.bias);
  const Matrix w_hat = reference::dequantize_rows(w);
  const bool rounded = problem.weight == WeightSource::fp8;  // E4M3 s is a float32 before it is a code
  const bool quantized = problem.weight != WeightSource::codes;
  out.bound =
      arithmetic.bound + double(problem.inputs + 4) * kDoubleUnit * matrix_product(values.x.abs(), values.weight.abs());
  Matrix variance = Matrix::Zero(problem.tokens, problem.outputs);
  if (quantized) {
    out.bound += matrix_product(values.x.abs(), step_errors(values.weight, w.scales, rounded ? kUnit : 0));
    variance += matrix_product(values.x.square(), (w_hat - values.weight).square());
  }
  if (x != nullptr) {
    out.bound += matrix_product(step_errors(values.x, x->scales, 0), w_hat.abs());
    variance += matrix_product((reference::dequantize_rows(*x) - values.x).square(), w_hat.square());
  }
  out.likely = arithmetic.bound + kSigmas * variance.sqrt();
  return out;
}

}  // namespace plumbline::harness
