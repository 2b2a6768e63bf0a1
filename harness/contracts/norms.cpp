// Contracts of sum u^2.
#include "harness/contracts/stages.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using reference::Vector;

// Sum of u^2 over elements whose x^2 or x^2/R may fall below the normal range of float32. Rounding there costs a term
// at most itself, once in x^2, once in the product, once in the sum (whose partial sums lie on the subnormal grid
// already).
double lost_squares(const Factors& f, const Vector& numerator, const Tensor& update, int64_t s) {
  constexpr double kSmall = 0x1p-125;
  const int64_t m = f.rows(), n = f.cols();
  double lost = 0;
  for (int64_t i = 0; i < m; ++i) {
    const auto x = numerator.segment((s * m + i) * n, n), u = update.data.segment((s * m + i) * n, n);
    const double limit = kSmall * std::max(1.0, f.row.data[s * m + i]);
    lost += (x != 0 && x.square() < limit).select(u.square(), 0.0).sum();
  }
  return lost;
}

}  // namespace

// sum u^2 = mean(R) sum_j (sum_i x^2/R_i)/C_j
double folded_norm_error(const StageContext& c, const Factors& f, int square, const Vector& numerator,
                         double numerator_error, const Tensor& update) {
  const Arithmetic& a = c.arithmetic;
  const int64_t m = f.rows(), n = f.cols();
  const double fixed =
      compose(gamma(square + a.inverse_row + a.weighted_additions), compose(numerator_error, numerator_error),
              double_sum(double(n)) + double_chain(double(m)));
  double square_error = 0;
  for (int64_t s = 0; s < f.slices(); ++s) {
    const double row = largest_relative(f.row.data, f.row_bound.data, s * m, m);
    const double col = largest_relative(f.col.data, f.col_bound.data, s * n, n);
    const double relative = compose(fixed, row, col, f.mean_relative(s));
    square_error += relative * update.data.segment(s * m * n, m * n).square().sum();
    square_error += 3 * lost_squares(f, numerator, update, s);
  }
  return square_error / double(update.size());
}

double direct_norm_error(const StageContext& c, const StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const double numerator = c.momentum && !c.problem.of_update() ? c.momentum_error() : 0;
  const double moment =
      std::sqrt(1 + largest_relative(used(r, b, Slot::second_moment).data, used_bound(b, Slot::second_moment).data, 0,
                                     r.second_moment.size())) -
      1;
  const double relative = compose(gamma(c.arithmetic.full_update), moment, numerator);
  const double square = r.update.data.square().mean();
  return square * (compose(relative, relative) + double_sum(double(r.update.size()))) +
         std::sqrt(square) * 4 * kUnderflow;
}

}  // namespace plumbline::harness
