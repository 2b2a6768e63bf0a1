#include "reference/transforms/limiter.h"

#include <cmath>

namespace plumbline::reference {

double Limiter::limit(int64_t t, double norm) {
  double& previous = previous_norm_.data[0];
  double limiter = 1;
  if (t > 1 && (previous >= options_.record_below ||
                (options_.nan_stays && std::isnan(previous)))) {  // after a NaN too, the norm is only recorded
    const double threshold = 1 + options_.margin;
    const double growth = norm / (previous + 1e-8);
    limiter = growth <= threshold ? 1 : growth / threshold;  // NaN stays NaN
  }
  previous = norm / limiter;
  return limiter;
}

void Limiter::apply(Step& step) {
  if (options_.zero_nonfinite && !std::isfinite(step.update_rms())) {
    shape_like(nothing_, step.update().shape, step.update().size());
    nothing_.data.setZero();
    step.set_update(nothing_);
    step.scale = 1;
  }
  const double update_rms = step.update_rms();
  step.rms_before_limiter = update_rms;
  const double norm = update_rms * std::sqrt(static_cast<double>(step.update().size()));
  const double limiter = limit(step.t, norm);
  step.scale /= limiter;
  if (step.record) {
    step.record->update_norm = norm;
    step.record->limiter = limiter;
  }
}

}  // namespace plumbline::reference
