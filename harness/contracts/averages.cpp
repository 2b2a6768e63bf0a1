// Contracts of moving averages of squares, and of what they divide by.
#include <cmath>

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
  const double sum = mean_row.data.segment(s * rows(), rows()).sum();
  return mean_row_bound.data.segment(s * rows(), rows()).sum() / sum + double_sum(double(rows())) + kScalar;
}

Factors second_moment_factors(const StepRecord& r, const StepBounds& b) {
  return {used(r, b, Slot::row),
          used(r, b, Slot::col),
          used_bound(b, Slot::row),
          used_bound(b, Slot::col),
          r.row_mean,
          r.row,
          b.slot[Slot::row]};
}

Factors confidence_factors(const StepRecord& r, const StepBounds& b) {
  return {used(r, b, Slot::confidence_row),
          used(r, b, Slot::confidence_col),
          used_bound(b, Slot::confidence_row),
          used_bound(b, Slot::confidence_col),
          r.confidence_mean,
          r.confidence_row,
          b.slot[Slot::confidence_row]};
}

const Tensor& used(const StepRecord& r, const StepBounds& b, Slot slot) {
  return b.raised[slot].size() > 0 ? b.raised[slot] : r.*info(slot).recorded;
}
const Tensor& used_bound(const StepBounds& b, Slot slot) {
  return b.raised[slot].size() > 0 ? b.raised_bound[slot] : b.slot[slot];
}

namespace {

// What each average is raised to, and the roundings that a mean adds to squares.
struct Resolution {
  Tensor StepRecord::*of;
  double (*additions)(const StageContext&);
};
Resolution resolution_of(Slot slot) {
  const auto rows = [](const StageContext& c) {
    return double(c.arithmetic.row_additions + c.arithmetic.mean_resolution);
  };
  const auto cols = [](const StageContext& c) {
    return double(c.arithmetic.col_additions + c.arithmetic.mean_resolution);
  };
  const auto none = [](const StageContext&) { return 0.0; };
  switch (slot) {
    case Slot::row:
      return {&StepRecord::row_resolution, rows};
    case Slot::col:
      return {&StepRecord::col_resolution, cols};
    case Slot::confidence_row:
      return {&StepRecord::confidence_row_resolution, rows};
    case Slot::confidence_col:
      return {&StepRecord::confidence_col_resolution, cols};
    case Slot::low_rank_row:
      return {&StepRecord::low_rank_row_resolution, rows};
    case Slot::low_rank_col:
      return {&StepRecord::low_rank_col_resolution, cols};
    case Slot::low_rank_second_moment:
      return {&StepRecord::low_rank_second_moment_resolution, none};
    default:
      return {&StepRecord::second_moment_resolution, none};
  }
}

}  // namespace

// max(v, f): where one lies above all that the other may be, the other does not matter.
void bound_used(const StageContext& c, Slot slot, StepBounds& b) {
  const StepRecord& r = c.record;
  const Resolution from = resolution_of(slot);
  const Tensor &value = r.*info(slot).recorded, &resolution = r.*from.of, &bound = b.slot[slot];
  Tensor &raised = b.raised[slot], &raised_bound = b.raised_bound[slot];
  raised.data.resize(0);
  if (value.size() == 0 || resolution.size() != value.size()) return;
  // of b twice; the reference's own sum of up to all elements
  const double relative = compose(gamma(c.arithmetic.resolution), gamma(from.additions(c)),
                                  2 * safe_ratio(b.bias, r.bias), double_chain(double(r.update.size())) + kScalar);
  raised.shape = raised_bound.shape = value.shape;
  raised.data.resize(value.size());
  raised_bound.data.resize(value.size());
  for (int64_t i = 0; i < value.size(); ++i) {
    const double v = value.data[i], e = bound.data[i], f = resolution.data[i], d = f * relative + 4 * kUnderflow;
    raised.data[i] = f > v ? f : v;
    raised_bound.data[i] = f - d > v + e ? d : f + d >= v - e ? std::fmax(d, e) : e;
  }
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
