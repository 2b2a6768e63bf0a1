// Contracts of CAME's averages of S = (u - M)^2.
#include "harness/contracts/stages.h"

namespace plumbline::harness {

using reference::Vector;

void bound_confidence(const StageContext& c, const Vector& clipped_error, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const Arithmetic& a = c.arithmetic;
  const double beta3 = *c.problem.options.beta3, w = 1 - beta3;
  const int64_t slices = r.confidence_row.shape[0], m = r.confidence_row.shape[1], n = r.confidence_col.shape[1];

  // S off by 2|d| e + e^2 and the rounding of its product, e that of the difference u - M
  const Vector &momentum = c.momentum->values.data, residual = r.update.data / r.clip - momentum;
  Vector error = clipped_error + residual.abs() * gamma(a.residual);
  if (c.momentum->relative_error.size() > 0) error += momentum.abs() * c.momentum->relative_error.data;
  error *= 1 + gamma(a.residual);
  error = 2 * residual.abs() * error + error.square() + (residual.abs() + error).square() * gamma(a.residual_square) +
          kUnderflow;

  // beside their own roundings, row and column averages bring the mean of those errors
  bound_average(r.confidence_row, c.before.slot[Slot::confidence_row], beta3,
                gamma(a.row_additions + a.average_new) + double_sum(double(n)), gamma(a.average_old),
                b.slot[Slot::confidence_row]);
  bound_average(r.confidence_col, c.before.slot[Slot::confidence_col], beta3,
                gamma(a.col_additions + a.average_new) + double_chain(double(m)), gamma(a.average_old),
                b.slot[Slot::confidence_col]);
  const double row_part = w / double(n) * (1 + gamma(a.row_additions + a.average_new));
  const double col_part = w / double(m) * (1 + gamma(a.col_additions + a.average_new));
  for (int64_t s = 0; s < slices; ++s)
    for (int64_t i = 0; i < m; ++i) {
      const auto line = error.segment((s * m + i) * n, n);
      b.slot[Slot::confidence_row].data[s * m + i] += row_part * line.sum();
      b.slot[Slot::confidence_col].data.segment(s * n, n) += col_part * line;
    }
}

}  // namespace plumbline::harness
