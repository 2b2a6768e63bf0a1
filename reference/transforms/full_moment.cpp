#include "reference/transforms/full_moment.h"

namespace plumbline::reference {

void FullMoment::apply(Step& step) {
  const auto [w, old] = options_.schedule.at(step.t);
  // V <- (1-w) V + w (g^2 + eps1)
  moment_.data = old * moment_.data + w * (step.gradient->data.square() + options_.eps1);

  step.moment = {.full = &moment_};
  if (step.record) {
    step.record->weight = w;
    step.record->old_weight = old;
    copy_to(step.record->second_moment, moment_);
  }
}

}  // namespace plumbline::reference
