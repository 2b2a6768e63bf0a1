#include "reference/transforms/step_size.h"

#include <cmath>

namespace plumbline::reference {

void StepSize::apply(Step& step) {
  const double t = static_cast<double>(step.t);
  double rho = options_.lr;
  if (options_.relative) {
    const double cap = options_.warmup ? *options_.warmup * t : options_.lr;
    rho = std::min(cap, 1 / std::sqrt(t));
  }
  double alpha = rho;
  if (options_.scale_parameter) {
    const double parameter_rms = rms(step.parameter);
    const bool floored = parameter_rms <= options_.eps2 || (std::isnan(parameter_rms) && options_.nan_is_floor);
    alpha *= floored ? options_.eps2 : parameter_rms;
    if (step.record) step.record->parameter_rms = parameter_rms;
  }
  step.rho = rho;
  step.step_size = alpha;
  step.scale *= alpha;
  if (step.record) {
    step.record->rho = rho;
    step.record->step_size = alpha;
  }
}

}  // namespace plumbline::reference
