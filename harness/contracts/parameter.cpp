// Contract of p' = keep p - step U. The last rounding is relative to a sum that is itself off by e, hence e (1 + u) + u
// |p'|.
#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/contracts/stages.h"

namespace plumbline::harness {
namespace {

using reference::Path;
using reference::Tensor;
using reference::Vector;

constexpr double kLargest = std::numeric_limits<float>::max(), kAnything = std::numeric_limits<double>::infinity();

struct Coefficient {
  double step;           // alpha bias / (clip l)
  double relative;       // its error
  double keep_relative;  // of keep p, in units of p
};

Coefficient coefficient_of(const StageContext& c, const StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const bool clipped_before = c.momentum && c.problem.of_update();  // the clip is inside M already
  const auto& o = c.problem.options;
  Coefficient k{};
  k.step = r.step_size * r.bias / r.limiter;
  double divisor = b.limiter / r.limiter + b.bias / r.bias;
  if (!clipped_before) {
    k.step /= r.clip;
    divisor += b.clip / r.clip;
  }
  k.relative = r.step_size > 0 ? compose(b.step_size / r.step_size, divisor + 2 * kScalar) : kScalar;
  if (c.problem.path() == Path::projected) k.step *= std::sqrt(o.projection_scale);
  k.keep_relative = gamma(c.arithmetic.decayed) * (std::fabs(r.keep) + b.keep) + b.keep;
  return k;
}

// U = x_ij / sqrt(V^_ij): a_i = k/sqrt(row_i), k = step sqrt(mean), b_j = 1/sqrt(col_j)
void factored(const StageContext& c, const Coefficient& q, const Factors& f, const Tensor& update,
              double numerator_error, const Vector* numerator, const Tensor& p_before, const Tensor& p_after,
              Tensor& out) {
  const Arithmetic& a = c.arithmetic;
  const int64_t m = f.rows(), n = f.cols();
  Vector col_factor(n);
  for (int64_t s = 0; s < f.slices(); ++s) {
    const auto row = f.row.data.segment(s * m, m), col = f.col.data.segment(s * n, n);
    const auto row_error = f.row_bound.data.segment(s * m, m), col_error = f.col_bound.data.segment(s * n, n);
    // when k is subnormal its rounding is no longer relative
    const double k = q.step * std::sqrt(f.mean[s]);
    const double coefficient = compose(gamma(a.step_coefficient) + (k > 0 ? kUnderflow / k : 0.0),
                                       compose(q.relative, root_relative(f.mean_relative(s))));
    const double fixed =
        compose(compose(coefficient, gamma(a.row_scale + a.col_scale + a.update - 1)), numerator_error);
    col_factor = 1 / (1 - col_error / col).sqrt();
    // |x|/sqrt(C), which what a_i loses near underflow is multiplied by; of g itself at most sqrt(m/w)
    const double largest = numerator ? numerator->segment(s * m * n, m * n).abs().maxCoeff() / std::sqrt(col.minCoeff())
                                     : std::sqrt(double(m) / c.record.weight);
    const double tiny = kUnderflow * (4 + largest) + kUnderflow * k / std::sqrt(row.minCoeff());
    for (int64_t i = 0; i < m; ++i) {
      const double row_factor = (1 + fixed) / std::sqrt(1 - row_error[i] / row[i]);
      const int64_t at = (s * m + i) * n;
      const auto u = update.data.segment(at, n).abs();
      out.data.segment(at, n) =
          (q.step * u * (row_factor * col_factor - 1) + p_before.data.segment(at, n).abs() * q.keep_relative) *
              (1 + kUnit) +
          p_after.data.segment(at, n).abs() * kUnit + tiny;
    }
  }
}

// U given with its own error, elementwise: out holds |step U| times that error, without the step's own.
void finish(const Coefficient& q, double tiny, const Tensor& p_before, const Tensor& p_after, Tensor& out) {
  out.data = (out.data + p_before.data.abs() * q.keep_relative) * (1 + kUnit) + p_after.data.abs() * kUnit + tiny;
}

}  // namespace

void bound_parameter(const StageContext& c, const Tensor& p_before, const Tensor& p_after, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const Arithmetic& a = c.arithmetic;
  const Coefficient q = coefficient_of(c, b);
  const double rounded = compose(gamma(a.step_coefficient) + (q.step > 0 ? kUnderflow / q.step : 0.0), q.relative);
  Tensor& out = b.parameter;
  out.shape = p_before.shape;
  out.data.resize(p_before.size());

  if (c.problem.path() == Path::projected) {  // U = s g, e = fl(step s)
    const double fixed = compose(gamma(a.step_coefficient), q.relative);
    const int64_t m = c.problem.shape[0], n = p_before.size() / m;
    const Vector &s = r.channel_scale.data, &e = b.channel_scale.data;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        const int64_t k = s.size() == 1 ? 0 : m >= n ? i : j;
        const double g = std::fabs(r.gradient.data[i * n + j]);
        const double scale = (s[k] + e[k]) * (1 + fixed);
        const bool overflows = !(std::max(1.0, q.step) * scale < kLargest);  // of s, or of e: from there on, anything
        out.data[i * n + j] = overflows ? kAnything : q.step * g * (s[k] * fixed + e[k] * (1 + fixed)) + kUnderflow * g;
      }
    return finish(q, 4 * kUnderflow, p_before, p_after, out);
  }
  if (c.problem.confident())
    return factored(c, q, confidence_factors(r, b), r.guided, c.momentum_error(), &c.momentum->values.data, p_before,
                    p_after, out);
  if (c.momentum && c.problem.of_update()) {  // U = M
    const Vector magnitude = c.momentum->values.data.abs();
    out.data = magnitude * (q.step * rounded);
    if (c.momentum->relative_error.size() > 0)
      out.data += magnitude * c.momentum->relative_error.data * (q.step * (1 + rounded));
    return finish(q, kUnderflow * (4 + q.step), p_before, p_after, out);
  }
  const double numerator_error = c.momentum_error();
  if (c.problem.factored())
    return factored(c, q, second_moment_factors(r, b), r.update, numerator_error,
                    c.momentum ? &c.momentum->values.data : nullptr, p_before, p_after, out);
  const double fixed = compose(rounded, gamma(a.full_update), numerator_error);
  out.data =
      q.step * r.update.data.abs() *
      ((1 + fixed) / (1 - used_bound(b, Slot::second_moment).data / used(r, b, Slot::second_moment).data).sqrt() - 1);
  finish(q, kUnderflow * (4 + q.step), p_before, p_after, out);
}

}  // namespace plumbline::harness
