#include "reference/transforms/combined_confidence.h"

#include <cmath>

#include "reference/transforms/average.h"

namespace plumbline::reference {
namespace {

double at_least(double floor, double x) { return x < floor ? floor : x; }

}  // namespace

CombinedConfidence::CombinedConfidence(const Shape& shape, FactorAxes axes, const CombinedConfidenceOptions& options)
    : options_(options),
      batch_(matrices_over(shape, axes.row, axes.col)),
      momentum_(shape, options.beta1, {}, {.form = options.form}),
      row_({batch_.slices(), batch_.rows}),
      col_({batch_.slices(), batch_.cols}),
      update_(shape) {}

void CombinedConfidence::apply(Step& step) {
  const Tensor& g = *step.gradient;
  const SecondMoment v = step.moment;
  const int64_t m = batch_.rows, n = batch_.cols;
  momentum_.apply(step);
  const Vector& momentum = step.update().data;
  const auto at = [&](int64_t s, int64_t i, int64_t j) {
    return batch_.first[static_cast<size_t>(s)] + i * batch_.row_stride + j * batch_.col_stride;
  };

  // Sums of e^2 over rows and columns
  Vector rows = Vector::Zero(row_.size()), cols = Vector::Zero(col_.size());
  for (int64_t s = 0; s < batch_.slices(); ++s)
    for (int64_t i = 0; i < m; ++i) {
      const double r = at_least(v.factor_floor, v.row->data[s * m + i]) / (*v.normalizer)[s];
      for (int64_t j = 0; j < n; ++j) {
        const double difference = g.data[at(s, i, j)] - momentum[at(s, i, j)];
        const double e2 = difference * difference / r / at_least(v.factor_floor, v.col->data[s * n + j]);
        rows[s * m + i] += e2;
        cols[s * n + j] += e2;
      }
    }
  const Weights w{1 - options_.beta3, options_.beta3};
  update_average(row_.data, rows / static_cast<double>(n), w, options_.form);
  update_average(col_.data, cols / static_cast<double>(m), w, options_.form);

  for (int64_t s = 0; s < batch_.slices(); ++s) {
    Vector a = v.row->data.segment(s * m, m) * row_.data.segment(s * m, m);
    Vector b = v.col->data.segment(s * n, n) * col_.data.segment(s * n, n);
    raise_to(a, options_.floor);
    raise_to(b, options_.floor);
    const double normalizer = at_least(options_.normalizer_floor, a.mean());
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        update_.data[at(s, i, j)] = momentum[at(s, i, j)] * std::sqrt(normalizer / a[i]) / std::sqrt(b[j]);
  }
  if (step.record) {
    copy_to(step.record->confidence_row, row_);
    copy_to(step.record->confidence_col, col_);
    copy_to(step.record->guided, update_);
  }
  step.set_update(update_);
}

Tensor* CombinedConfidence::state(Slot slot) {
  if (slot == Slot::confidence_row) return &row_;
  if (slot == Slot::confidence_col) return &col_;
  return momentum_.state(slot);
}

}  // namespace plumbline::reference
