#include "reference/transforms/factored_moment.h"

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

  const auto [w, old] = options_.schedule.at(step.t);
  const double eps1 = options_.eps1;
  // R_i <- (1-w) R_i + w (mean_j g^2 + eps1)
  row_.data = old * row_.data + w * (sums.row / static_cast<double>(n) + eps1);
  // C_j <- (1-w) C_j + w (mean_i g^2 + eps1)
  col_.data = old * col_.data + w * (sums.col / static_cast<double>(m) + eps1);

  for (int64_t s = 0; s < sums.batch.slices(); ++s) {
    const auto row = row_.data.segment(s * m, m);
    const double normalizer = options_.normalizer == Normalizer::mean ? row.mean() : row.sum();
    normalizer_[s] = options_.normalizer_floor > normalizer ? options_.normalizer_floor : normalizer;
  }

  step.moment = {nullptr, &row_, &col_, &normalizer_, options_.factor_floor, &own_.batch};
  if (step.record) {
    step.record->weight = w;
    step.record->old_weight = old;
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
