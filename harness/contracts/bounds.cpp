#include "harness/contracts/bounds.h"

#include <algorithm>
#include <cmath>

namespace plumbline::harness {
namespace {

using reference::StepRecord;
using reference::Tensor;
using reference::Vector;

// The reference's own error: a sum of n non-negative doubles in any order that Eigen may choose, at most one chain per
// lane.
double double_sum(double n) { return (n / 4 + 4 + std::log2(n)) * 0x1p-53; }
// The same in order, one after the other.
double double_chain(double n) { return (n + 4) * 0x1p-53; }
// Scalar algebra in double on both sides: quotients, roots, products, a few operations each.
constexpr double kScalar = 0x1p-50;

// A moving average (1-w) old + w sample, all terms non-negative: each part carries the roundings of its own path.
void average_bound(const Tensor& value, const Tensor& old, const Tensor& old_error, double old_weight,
                   double new_relative, double old_relative, Tensor& out) {
  out.shape = value.shape;
  out.data.resize(value.size());
  if (old_error.size() == value.size())
    out.data = value.data * new_relative +
               old.data * old_weight * ((1 + old_error.data) * (1 + old_relative) - (1 + new_relative));
  else
    out.data = value.data * new_relative + old.data * (old_weight * (old_relative - new_relative));
  out.data += 4 * kUnderflow;
}

// Largest relative error of any element, as seen from the computed value: e / (x - e).
double largest_relative(const Tensor& value, const Tensor& bound, int64_t begin, int64_t count) {
  double worst = 0;
  for (int64_t i = begin; i < begin + count; ++i) {
    const double rest = value.data[i] - bound.data[i];
    worst = std::max(worst, rest > 0 ? bound.data[i] / rest : HUGE_VAL);
  }
  return worst;
}

// Sum of u^2 over elements whose g^2 or g^2/R may fall below the normal range of float32. Rounding there costs a term
// at most itself, once in g^2, once in the product, once in the sum (whose partial sums lie on the subnormal grid
// already).
double lost_squares(const StepRecord& r, int64_t s) {
  constexpr double kSmall = 0x1p-125;
  const int64_t m = r.row.shape[1], n = r.col.shape[1];
  double lost = 0;
  for (int64_t i = 0; i < m; ++i) {
    const auto g = r.gradient.data.segment((s * m + i) * n, n), u = r.update.data.segment((s * m + i) * n, n);
    const double limit = kSmall * std::max(1.0, r.row.data[s * m + i]);
    lost += (g != 0 && g.square() < limit).select(u.square(), 0.0).sum();
  }
  return lost;
}

struct UpdateErrors {
  double mean_square = 0;  // absolute error of sum u^2 / N
  double relative = 0;     // of u, largest
};

// sum u^2 = mean(R) sum_j (sum_i g^2/R_i)/C_j
UpdateErrors folded_norm(const Arithmetic& a, const StepRecord& r, const StepBounds& b) {
  const int64_t slices = r.row.shape[0], m = r.row.shape[1], n = r.col.shape[1];
  UpdateErrors e;
  double square_error = 0;
  for (int64_t s = 0; s < slices; ++s) {
    const double row = largest_relative(r.row, b.row, s * m, m), col = largest_relative(r.col, b.col, s * n, n);
    const auto rows = r.row.data.segment(s * m, m);
    const double mean = b.row.data.segment(s * m, m).sum() / rows.sum() + kScalar;
    double relative = compose(gamma(a.square + a.inverse_row + a.weighted_additions), row);
    relative = compose(compose(relative, col), compose(mean, double_sum(double(m + n))));
    const auto u = r.update.data.segment(s * m * n, m * n);
    square_error += relative * u.square().sum();
    square_error += 3 * lost_squares(r, s);
    e.relative = std::max(e.relative, std::sqrt((1 + row) * (1 + col) * (1 + mean)) - 1);
  }
  e.mean_square = square_error / double(r.update.size());
  return e;
}

UpdateErrors direct_norm(const Arithmetic& a, const StepRecord& r, const StepBounds& b) {
  UpdateErrors e;
  e.relative =
      compose(gamma(a.full_update),
              std::sqrt(1 + largest_relative(r.second_moment, b.second_moment, 0, r.second_moment.size())) - 1);
  const double square = r.update.data.square().mean();
  e.mean_square = square * (compose(e.relative, e.relative) + double_sum(double(r.update.size()))) +
                  std::sqrt(square) * 4 * kUnderflow;
  return e;
}

}  // namespace

void derive_bounds(const Problem& problem, const Arithmetic& a, const StateBefore& before, const StepRecord& r,
                   const Tensor& p_before, const Tensor& p_after, StepBounds& b) {
  const auto& o = problem.options;
  const bool factored = problem.factored();
  const double count = double(p_before.size());

  b.parameter_rms = r.parameter_rms * (double_sum(count) / 2 + 3 * 0x1p-53);  // the root halves what the sum brings
  UpdateErrors update;
  if (factored) {
    average_bound(r.row, before.row, before.row_error, r.old_weight,
                  gamma(a.square + a.row_additions + a.average_new) + double_sum(double(r.col.shape[1])),
                  gamma(a.average_old), b.row);
    average_bound(r.col, before.col, before.col_error, r.old_weight,
                  gamma(a.square + a.col_additions + a.average_new) + double_chain(double(r.row.shape[1])),
                  gamma(a.average_old), b.col);
    update = folded_norm(a, r, b);
  } else {
    average_bound(r.second_moment, before.second_moment, before.second_moment_error, r.old_weight,
                  gamma(a.square + a.full_new) + 0x1p-50, gamma(a.full_old), b.second_moment);
    update = direct_norm(a, r, b);
  }
  b.update_relative = update.relative;

  // max and division are Lipschitz: the clip moves by at most what RMS(u)/d moves, and not at all safely below d.
  b.update_rms =
      update.mean_square / (std::sqrt(std::max(r.update_rms * r.update_rms - update.mean_square, 0.0)) + r.update_rms);
  if (!(b.update_rms <= r.update_rms)) b.update_rms = std::sqrt(update.mean_square);
  b.clip = 0;
  if (o.clip > 0) {
    const double over = r.update_rms / o.clip, error = b.update_rms / o.clip;
    b.clip = over + error <= 1 ? 0.0 : error + kScalar * over;
  }
  // one product on either side, and for 1/sqrt(t) a root and a quotient
  b.step_size = r.step_size * (o.relative_step ? 6 : 2) * 0x1p-53 + (o.scale_parameter ? r.rho * b.parameter_rms : 0.0);
  b.keep = o.weight_decay == 0
               ? 0.0
               : gamma(a.step_coefficient) * std::fabs(r.keep) + kScalar +
                     (o.weight_decay_by == reference::DecayScale::step_size ? o.weight_decay * b.step_size : 0.0);

  // p' = keep p - (alpha/clip) u; the last rounding is relative to a sum that is itself off by e, hence e (1 + u) + u
  // |p'|
  const double step = r.step_size / r.clip;
  const double step_relative =
      r.step_size > 0 ? compose(b.step_size / r.step_size, b.clip / r.clip + 2 * kScalar) : kScalar;
  const double keep_relative = gamma(a.decayed) * (1 + b.keep) * std::fabs(r.keep) + b.keep;
  b.parameter.shape = p_before.shape;
  b.parameter.data.resize(p_before.size());
  if (factored) {
    const int64_t slices = r.row.shape[0], m = r.row.shape[1], n = r.col.shape[1];
    Vector col_factor(n);
    for (int64_t s = 0; s < slices; ++s) {
      const auto row = r.row.data.segment(s * m, m), col = r.col.data.segment(s * n, n);
      const auto row_error = b.row.data.segment(s * m, m), col_error = b.col.data.segment(s * n, n);
      const double mean = row_error.sum() / row.sum() + kScalar;
      // k = step sqrt(mean R): when it is subnormal its rounding is no longer relative
      const double k = step * std::sqrt(r.row_mean[s]);
      const double coefficient =
          compose(gamma(a.step_coefficient) + (k > 0 ? kUnderflow / k : 0.0), compose(step_relative, mean / 2));
      const double fixed = compose(coefficient, gamma(a.row_scale + a.col_scale + a.update - 1));
      col_factor = 1 / (1 - col_error / col).sqrt();
      const double tiny =
          kUnderflow * (4 + std::sqrt(double(m) / r.weight)) + kUnderflow * k / std::sqrt(row.minCoeff());
      for (int64_t i = 0; i < m; ++i) {
        const double row_factor = (1 + fixed) / std::sqrt(1 - row_error[i] / row[i]);
        const int64_t at = (s * m + i) * n;
        const auto u = r.update.data.segment(at, n).abs();
        b.parameter.data.segment(at, n) =
            (step * u * (row_factor * col_factor - 1) + p_before.data.segment(at, n).abs() * keep_relative) *
                (1 + kUnit) +
            p_after.data.segment(at, n).abs() * kUnit + tiny;
      }
    }
  } else {
    const double fixed = compose(
        compose(gamma(a.step_coefficient) + (step > 0 ? kUnderflow / step : 0.0), step_relative), gamma(a.full_update));
    const double tiny = kUnderflow * (4 + step);
    b.parameter.data =
        (step * r.update.data.abs() * ((1 + fixed) / (1 - b.second_moment.data / r.second_moment.data).sqrt() - 1) +
         p_before.data.abs() * keep_relative) *
            (1 + kUnit) +
        p_after.data.abs() * kUnit + tiny;
  }
}

}  // namespace plumbline::harness
