#include "reference/transforms/negate.h"

namespace plumbline::reference {

void Negate::apply(Step& step) {
  shape_like(negated_, step.gradient->shape, step.gradient->size());
  negated_.data = -step.gradient->data;
  step.set_gradient(negated_);
}

}  // namespace plumbline::reference
