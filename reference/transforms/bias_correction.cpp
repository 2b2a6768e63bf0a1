#include "reference/transforms/bias_correction.h"

#include <cmath>

namespace plumbline::reference {

void BiasCorrection::apply(Step& step) {
  const double t = static_cast<double>(step.t);
  double factor = 1 / (1 - std::pow(beta1_, t));
  if (beta2_) factor *= std::sqrt(1 - std::pow(*beta2_, t));
  step.scale *= factor;
  step.step_size *= factor;
}

}  // namespace plumbline::reference
