#include "reference/transforms/precondition.h"

#include <algorithm>
#include <cmath>

namespace plumbline::reference {
namespace {

// max and min in which NaN stays NaN
double at_least(double floor, double x) { return x < floor ? floor : x; }
double at_most(double ceiling, double x) { return x > ceiling ? ceiling : x; }

}  // namespace

// u_ij = x_ij sqrt(normalizer / R_i) / sqrt(C_j); returns sum u^2.
double Precondition::divide_factored(const Step& step, Tensor& out) {
  const SecondMoment& v = step.moment;
  const int64_t m = v.batch->rows, n = v.batch->cols;
  const double floor = options_.floor, eps = options_.eps_at(step.t), factor_floor = v.factor_floor;
  const double inside = options_.inside;
  const double smallest = std::sqrt(floor), largest = 1 / smallest;  // of sqrt(V^) and its inverse
  double sum = 0;
  for_each_line(
      step.update().data.data(), out.data.data(), *v.batch, [&](int64_t s, int64_t i, const auto& x, auto& u) {
        if (i == 0) {
          const auto clamped =
              v.col->data.segment(s * n, n).unaryExpr([factor_floor](double c) { return at_least(factor_floor, c); });
          if (inside > 0)
            col_factor_ = clamped;
          else if (eps > 0)
            col_factor_ = clamped.sqrt();
          else
            col_factor_ = clamped.rsqrt();
        }
        const double ratio = (*v.normalizer)[s] / at_least(factor_floor, v.row->data[s * m + i]);
        if (inside > 0)
          u = x / (((col_factor_ / ratio).unaryExpr([floor](double r) { return at_least(floor, r); }) + inside).sqrt() +
                   eps);
        else if (eps > 0)
          u = x / ((col_factor_ / std::sqrt(ratio)).unaryExpr([smallest](double r) { return at_least(smallest, r); }) +
                   eps);
        else if (floor > 0)
          u = x * (std::sqrt(ratio) * col_factor_).unaryExpr([largest](double f) { return at_most(largest, f); });
        else
          u = x * (std::sqrt(ratio) * col_factor_);
        sum += u.square().sum();
      });
  return sum;
}

double Precondition::divide_full(const Step& step, Tensor& out) {
  constexpr int64_t kChunk = 1024;  // the sum reads u while it is in cache
  const double floor = options_.floor, eps = options_.eps_at(step.t), inside = options_.inside;
  const Vector &v = step.moment.full->data, &x = step.update().data;
  double sum = 0;
  for (int64_t k = 0; k < v.size(); k += kChunk) {
    const int64_t n = std::min(kChunk, v.size() - k);
    auto u = out.data.segment(k, n);
    if (floor > 0 || inside > 0)
      u = x.segment(k, n) /
          ((v.segment(k, n).unaryExpr([floor](double moment) { return at_least(floor, moment); }) + inside).sqrt() +
           eps);
    else
      u = x.segment(k, n) / (v.segment(k, n).sqrt() + eps);
    sum += u.square().sum();
  }
  return sum;
}

void Precondition::apply(Step& step) {
  Tensor& out = step.record ? step.record->update : update_;
  shape_like(out, step.update().shape, step.update().size());
  const double sum = step.moment.full ? divide_full(step, out) : divide_factored(step, out);
  if (options_.overwrites && step.moment.full) step.moment.full->data = step.scale * out.data;
  step.set_update(out, std::sqrt(sum / static_cast<double>(out.size())));
}

}  // namespace plumbline::reference
