#include "reference/transforms/full_moment.h"

#include "reference/transforms/average.h"

namespace plumbline::reference {

void FullMoment::apply(Step& step) {
  const AverageStart& start = options_.start;
  const bool begins = start.at(step.t);
  const Weights weights = begins && start.whole ? Weights{} : options_.schedule.at(step.t);
  const double eps1 = begins && start.without_eps1 ? 0 : options_.eps1;
  if (begins && start.every > 0) moment_.data.setZero();
  // V <- (1-w) V + w (g^2 + eps1)
  update_average(moment_.data, step.gradient->data.square() + eps1, weights, options_.form);
  if (begins && start.floor > 0) raise_to(moment_.data, start.floor);

  step.moment = {.full = &moment_};
  if (step.record) {
    step.record->weight = weights.sample;
    step.record->old_weight = weights.old;
    copy_to(step.record->second_moment, moment_);
  }
}

}  // namespace plumbline::reference
