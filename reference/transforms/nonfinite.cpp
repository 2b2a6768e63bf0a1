#include "reference/transforms/nonfinite.h"

#include <algorithm>
#include <cmath>

#include "reference/transforms/square_sums.h"

namespace plumbline::reference {
namespace {

constexpr double kLargest = std::numeric_limits<double>::max();

// NaN compares false, so it offends.
int64_t count_offending(const double* g, int64_t size, double limit) {
  int64_t count = 0;
  for (int64_t k = 0; k < size; ++k) count += std::abs(g[k]) < limit ? 0 : 1;
  return count;
}

// True where sums of squares show it; false says nothing.
bool surely_below(double limit, const Step& step) {
  return step.sums && step.sums->of == step.gradient && step.sums->row.sum() < std::min(limit * limit, kLargest);
}

}  // namespace

void NonfinitePolicy::apply(Step& step) {
  const Tensor& g = *step.gradient;
  const int64_t count = surely_below(limit_, step) ? 0 : count_offending(g.data.data(), g.size(), limit_);
  if (step.record) step.record->nonfinite = count;
  if (count == 0 || policy_ == Nonfinite::propagate) return;
  if (policy_ == Nonfinite::skip) {
    step.skipped = true;
    return;
  }
  shape_like(cleaned_, g.shape, g.size());
  cleaned_.data = (g.data.abs() < limit_).select(g.data, 0.0);
  step.set_gradient(cleaned_);
}

}  // namespace plumbline::reference
