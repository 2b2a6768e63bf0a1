#include "reference/transforms/coupled_decay.h"

namespace plumbline::reference {

void CoupledDecay::apply(Step& step) {
  shape_like(update_, step.update().shape, step.update().size());
  update_.data = step.scale * step.update().data + weight_decay_ * step.parameter.data;
  step.set_update(update_);
  step.scale = 1;
}

}  // namespace plumbline::reference
