// Contracts of a momentum before it is stored, and of what it is taken of.
#include "harness/contracts/stages.h"

namespace plumbline::harness {

using reference::Tensor;
using reference::Vector;

double StageContext::momentum_error() const {
  return momentum && momentum->relative_error.size() > 0 ? momentum->relative_error.data.maxCoeff() : 0;
}

// u_c = (g b_j) a'_i, a'_i = k'/sqrt(R_i), k' = sqrt(mean R)/clip; or u times fl(1/clip)
void clipped_update_error(const StageContext& c, const StepBounds& b, Vector& out) {
  const reference::StepRecord& r = c.record;
  const Arithmetic& a = c.arithmetic;
  const double clip_relative = b.clip / r.clip + 2 * kScalar;
  out.resize(r.update.size());
  if (r.row.size() == 0) {
    const bool exactly_one = r.clip == 1 && b.clip == 0;
    const double fixed =
        compose(gamma(a.full_update + (exactly_one ? 0 : a.clipped_update + a.step_coefficient)), clip_relative);
    out = r.update.data.abs() / r.clip *
              ((1 + fixed) / (1 - b.slot[Slot::second_moment].data / r.second_moment.data).sqrt() - 1) +
          4 * kUnderflow;
    return;
  }
  const Factors f = second_moment_factors(r, b);
  const int64_t m = f.rows(), n = f.cols();
  Vector col_factor(n);
  for (int64_t s = 0; s < f.slices(); ++s) {
    const auto col = f.col.data.segment(s * n, n), col_error = f.col_bound.data.segment(s * n, n);
    const double k = std::sqrt(f.mean[s]) / r.clip;
    const double fixed =
        compose(compose(gamma(a.step_coefficient + a.row_scale + a.col_scale + a.clipped_update), clip_relative),
                root_relative(f.mean_relative(s)) + safe_ratio(kUnderflow, k));
    col_factor = 1 / (1 - col_error / col).sqrt();
    for (int64_t i = 0; i < m; ++i) {
      const double row = f.row.data[s * m + i];
      const double row_factor = (1 + fixed) / std::sqrt(1 - f.row_bound.data[s * m + i] / row);
      // the product g b_j, scaled by a'_i; a'_i itself, times |g|/sqrt(C) <= sqrt(m/w); the result
      const double tiny = kUnderflow * (k / std::sqrt(row) + 2 * std::sqrt(double(m) / r.weight) + 1);
      const int64_t at = (s * m + i) * n;
      out.segment(at, n) = r.update.data.segment(at, n).abs() / r.clip * (row_factor * col_factor - 1) + tiny;
    }
  }
}

// fl(c1 x + fl(b1 old)): two parts, then one rounding of their sum
void bound_momentum(const StageContext& c, Slot slot, const Vector& x, double x_scale, const Vector& error,
                    Tensor& out) {
  const Arithmetic& a = c.arithmetic;
  const double beta1 = *c.problem.options.beta1, rest = 1 - beta1;
  const double new_relative = gamma(a.momentum_new - 1) + kScalar, old_relative = gamma(a.momentum_old - 1) + kScalar;
  const Tensor& value = c.record.*info(slot).recorded;
  const DecodedSlot& old = c.before.slot[slot];
  out.shape = value.shape;
  out.data = x.abs() * (rest * x_scale * new_relative);
  if (error.size() > 0) out.data += error * (rest * (1 + new_relative));
  if (old.relative_error.size() == old.values.size())
    out.data += old.values.data.abs() * beta1 * ((1 + old.relative_error.data) * (1 + old_relative) - 1);
  else
    out.data += old.values.data.abs() * (beta1 * old_relative);
  out.data = out.data * (1 + kUnit) + value.data.abs() * kUnit + 2 * kUnderflow;
}

}  // namespace plumbline::harness
