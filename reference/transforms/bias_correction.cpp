#include "reference/transforms/bias_correction.h"

#include <cmath>

namespace plumbline::reference {

void BiasCorrection::apply(Step& step) {
  const double t = static_cast<double>(step.t);
  // 1 - beta^t without cancellation
  const auto rest = [t](double beta) { return -std::expm1(t * std::log(beta)); };
  double factor = 1 / rest(beta1_);
  if (beta2_) factor *= std::sqrt(rest(*beta2_));
  step.scale *= factor;
  step.step_size *= factor;
  if (step.record) step.record->bias = factor;
}

}  // namespace plumbline::reference
