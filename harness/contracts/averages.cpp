// Contracts of moving averages of squares.
#include "harness/contracts/stages.h"

namespace plumbline::harness {

using reference::StepRecord;
using reference::Tensor;
using reference::Vector;

int StageContext::square() const {
  int exponent;
  return std::frexp(problem.gradient_scale, &exponent) == 0.5 ? arithmetic.square : 1;
}

double Factors::mean_relative(int64_t s) const {
  const double sum = row.data.segment(s * rows(), rows()).sum();
  return row_bound.data.segment(s * rows(), rows()).sum() / sum + double_sum(double(rows())) + kScalar;
}

Factors second_moment_factors(const StepRecord& r, const StepBounds& b) {
  return {r.row, r.col, b.slot[Slot::row], b.slot[Slot::col], r.row_mean};
}

Factors confidence_factors(const StepRecord& r, const StepBounds& b) {
  return {r.confidence_row, r.confidence_col, b.slot[Slot::confidence_row], b.slot[Slot::confidence_col],
          r.confidence_mean};
}

void bound_average(const Tensor& value, const DecodedSlot& old, double old_weight, double new_relative,
                   double old_relative, Tensor& out) {
  out.shape = value.shape;
  out.data.resize(value.size());
  if (old.relative_error.size() == value.size())
    out.data = value.data * new_relative +
               old.values.data * old_weight * ((1 + old.relative_error.data) * (1 + old_relative) - (1 + new_relative));
  else
    out.data = value.data * new_relative + old.values.data * (old_weight * (old_relative - new_relative));
  out.data += 4 * kUnderflow;
}

void bound_second_moment(const StageContext& c, StepBounds& b) {
  const StepRecord& r = c.record;
  const Arithmetic& a = c.arithmetic;
  if (r.row.size() > 0) {
    bound_average(r.row, c.before.slot[Slot::row], r.old_weight,
                  gamma(c.square() + a.row_additions + a.average_new) + double_sum(double(r.col.shape[1])),
                  gamma(a.average_old), b.slot[Slot::row]);
    bound_average(r.col, c.before.slot[Slot::col], r.old_weight,
                  gamma(c.square() + a.col_additions + a.average_new) + double_chain(double(r.row.shape[1])),
                  gamma(a.average_old), b.slot[Slot::col]);
  } else {
    bound_average(r.second_moment, c.before.slot[Slot::second_moment], r.old_weight,
                  gamma(c.square() + a.full_new) + 0x1p-50, gamma(a.full_old), b.slot[Slot::second_moment]);
  }
}

}  // namespace plumbline::harness
