#include "reference/transforms/factored_moment.h"

#include "reference/transforms/average.h"

namespace plumbline::reference {

FactoredMoment::FactoredMoment(const Shape& shape, FactorAxes axes, const FactoredMomentOptions& options)
    : options_(options),
      own_(shape, axes),
      row_({own_.batch.slices(), own_.batch.rows}),
      col_({own_.batch.slices(), own_.batch.cols}),
      normalizer_(own_.batch.slices()) {}

void FactoredMoment::apply(Step& step) {
  // Another gradient's sums are no use: the policy or the sign may have changed it since.
  const bool shared = step.sums && step.sums->of == step.gradient && step.sums->batch == own_.batch;
  if (!shared) own_.compute(*step.gradient, nullptr);
  const SquareSums& sums = shared ? *step.sums : own_;
  const int64_t m = sums.batch.rows, n = sums.batch.cols;

  const AverageStart& start = options_.start;
  const bool begins = start.at(step.t);
  const Weights weights = begins && start.whole ? Weights{} : options_.schedule.at(step.t);
  const double eps1 = begins && start.without_eps1 ? 0 : options_.eps1;
  if (begins && start.every > 0) {
    row_.data.setZero();
    col_.data.setZero();
  }
  // R_i <- (1-w) R_i + w (mean_j g^2 + eps1)
  update_average(row_.data, sums.row / static_cast<double>(n) + eps1, weights, options_.form);
  // C_j <- (1-w) C_j + w (mean_i g^2 + eps1)
  update_average(col_.data, sums.col / static_cast<double>(m) + eps1, weights, options_.form);
  if (begins && start.floor > 0) {
    raise_to(row_.data, start.floor);
    raise_to(col_.data, start.floor);
  }

  for (int64_t s = 0; s < sums.batch.slices(); ++s) {
    Vector row = row_.data.segment(s * m, m);
    if (options_.floors_normalizer) raise_to(row, options_.factor_floor);
    const double normalizer = options_.normalizer == Normalizer::mean ? row.mean() : row.sum();
    normalizer_[s] = options_.normalizer_floor > normalizer ? options_.normalizer_floor : normalizer;
  }

  step.moment = {nullptr, &row_, &col_, &normalizer_, options_.factor_floor, &own_.batch};
  if (step.record) {
    step.record->weight = weights.sample;
    step.record->old_weight = weights.old;
    copy_to(step.record->row, row_);
    copy_to(step.record->col, col_);
    step.record->row_mean = normalizer_;
  }
}

Tensor* FactoredMoment::state(Slot slot) {
  if (slot == Slot::row) return &row_;
  if (slot == Slot::col) return &col_;
  return nullptr;
}

}  // namespace plumbline::reference
