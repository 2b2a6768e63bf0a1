#include "reference/transforms/bias_correction.h"

#include <cmath>

namespace plumbline::reference {

double bias_correction(double beta1, const std::optional<double>& beta2, int64_t t) {
  // 1 - beta^t without cancellation
  const auto rest = [t](double beta) { return -std::expm1(static_cast<double>(t) * std::log(beta)); };
  double factor = 1 / rest(beta1);
  if (beta2) factor *= std::sqrt(rest(*beta2));
  return factor;
}

void BiasCorrection::apply(Step& step) {
  const double factor = bias_correction(beta1_, beta2_, step.t);
  step.scale *= factor;
  step.step_size *= factor;
  if (step.record) step.record->bias = factor;
}

}  // namespace plumbline::reference
