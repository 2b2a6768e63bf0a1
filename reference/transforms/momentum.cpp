#include "reference/transforms/momentum.h"

namespace plumbline::reference {

void Momentum::apply(Step& step) {
  // M <- beta1 M + (1 - beta1) x
  momentum_.data = beta1_ * momentum_.data + ((1 - beta1_) * step.scale) * step.update().data;
  if (step.record) copy_to(step.record->momentum, momentum_);
  if (store_) store_(momentum_, resolution_);
  step.resolution = &resolution_;
  step.set_update(momentum_);
  step.scale = 1;
}

}  // namespace plumbline::reference
