#include "reference/transforms/projected_residual.h"

#include <cmath>
#include <utility>

namespace plumbline::reference {

ProjectedResidual::ProjectedResidual(LowRank low_rank, const LimiterOptions& limiter)
    : low_rank_(std::move(low_rank)), limiter_(limiter) {}

void ProjectedResidual::apply(Step& step) {
  const Tensor& g = *step.gradient;
  low_rank_.run(step);
  shape_like(update_, g.shape, g.size());

  low_rank_.projection().back(low_rank_.gradient(), update_);
  update_.data = g.data - update_.data;
  low_rank_.channel_scale(ScaleType::channel, scale_);
  low_rank_.scale_channels(scale_, update_, residual_);
  const double limiter = limiter_.limit(step.t, std::sqrt(residual_.data.square().sum()));

  low_rank_.projection().back(low_rank_.normalised(), update_);
  update_.data += residual_.data / limiter;
  step.set_update(update_);
}

Tensor* ProjectedResidual::state(Slot slot) {
  if (Tensor* found = low_rank_.state(slot)) return found;
  return limiter_.state(slot);
}

}  // namespace plumbline::reference
