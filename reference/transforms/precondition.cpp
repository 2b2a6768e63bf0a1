#include "reference/transforms/precondition.h"

#include <cmath>

namespace plumbline::reference {
namespace {

double at_least(double floor, double x) { return x < floor ? floor : x; }  // NaN stays NaN

}  // namespace

// u_ij = x_ij sqrt(normalizer / R_i) / sqrt(C_j); returns sum u^2.
double Precondition::divide_factored(const Step& step, Tensor& out) {
  const auto& [full, row, col, normalizer, factor_floor, batch] = step.moment;
  const int64_t m = batch->rows, n = batch->cols;
  const double largest = 1 / std::sqrt(options_.floor);  // of 1/sqrt(V^); infinite without a floor
  double sum = 0;
  for_each_line(step.update().data.data(), out.data.data(), *batch, [&](int64_t s, int64_t i, const auto& x, auto& u) {
    if (i == 0) col_factor_ = col->data.segment(s * n, n).max(factor_floor).rsqrt();
    const double row_factor = std::sqrt((*normalizer)[s] / at_least(factor_floor, row->data[s * m + i]));
    if (options_.floor > 0)
      u = x * (row_factor * col_factor_).min(largest);
    else
      u = x * (row_factor * col_factor_);
    sum += u.square().sum();
  });
  return sum;
}

double Precondition::divide_full(const Step& step, Tensor& out) {
  const Vector& v = step.moment.full->data;
  if (options_.floor > 0)
    out.data = step.update().data / (v.max(options_.floor).sqrt() + options_.eps);
  else
    out.data = step.update().data / (v.sqrt() + options_.eps);
  return out.data.square().sum();
}

void Precondition::apply(Step& step) {
  Tensor& out = step.record ? step.record->update : update_;
  shape_like(out, step.update().shape, step.update().size());
  const double sum = step.moment.full ? divide_full(step, out) : divide_factored(step, out);
  step.set_update(out, std::sqrt(sum / static_cast<double>(out.size())));
}

}  // namespace plumbline::reference
