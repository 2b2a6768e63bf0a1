#include "reference/transforms/square_sums.h"

#include <utility>

namespace plumbline::reference {

SquareSums::SquareSums(MatrixBatch matrices)
    : batch(std::move(matrices)), row(batch.slices() * batch.rows), col(batch.slices() * batch.cols) {}

void SquareSums::compute(const Tensor& gradient, Tensor* copy) {
  of = &gradient;
  col.setZero();
  const auto add = [&](int64_t s, int64_t i, const auto& g) {
    row[s * batch.rows + i] = g.square().sum();
    col.segment(s * batch.cols, batch.cols) += g.square();
  };
  if (!copy) {
    for_each_line(gradient.data.data(), batch, add);
    return;
  }
  shape_like(*copy, gradient.shape, gradient.size());
  for_each_line(gradient.data.data(), copy->data.data(), batch, [&](int64_t s, int64_t i, const auto& g, auto& to) {
    add(s, i, g);
    to = g;
  });
}

void SquareSums::apply(Step& step) {
  const bool keep = step.record && step.record->keep_gradient;
  compute(*step.gradient, keep ? &step.record->gradient : nullptr);
  step.sums = this;
  if (keep) step.recorded_gradient = step.gradient;
}

}  // namespace plumbline::reference
