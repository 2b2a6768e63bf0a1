#include "reference/transforms/momentum.h"

#include "reference/transforms/average.h"

namespace plumbline::reference {

void Momentum::apply(Step& step) {
  // M <- beta1 M + (1 - beta1) x
  if (options_.start.every > 0 && options_.start.at(step.t)) momentum_.data.setZero();
  if (options_.form == AverageForm::sum)
    momentum_.data = beta1_ * momentum_.data + ((1 - beta1_) * step.scale) * step.update().data;
  else
    update_average(momentum_.data, step.scale * step.update().data, {1 - beta1_, beta1_}, options_.form);
  if (step.record) copy_to(step.record->momentum, momentum_);
  if (store_) store_(momentum_, resolution_);
  step.resolution = &resolution_;
  step.set_update(momentum_);
  step.scale = 1;
}

}  // namespace plumbline::reference
