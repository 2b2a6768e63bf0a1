#include "reference/transforms/full_confidence.h"

namespace plumbline::reference {

FullConfidence::FullConfidence(const Shape& shape, const FullConfidenceOptions& o)
    : momentum_(shape, o.beta1, {}, {.form = o.form}),
      instability_(shape, {.schedule = DecaySchedule::fixed(o.beta3), .eps1 = o.eps2, .form = o.form}),
      divide_({.floor = o.floor}),
      overwrites_(o.overwrites) {}

void FullConfidence::apply(Step& step) {
  shape_like(residual_, step.update().shape, step.update().size());
  residual_.data = step.scale * step.update().data;
  momentum_.apply(step);
  residual_.data -= step.update().data;

  // S is a second moment whose gradient is u - M.
  Step inner(step.t, step.parameter, residual_, nullptr);
  instability_.apply(inner);
  inner.set_update(step.update());
  divide_.apply(inner);
  if (overwrites_) momentum_.state(Slot::momentum)->data = inner.update().data;
  if (step.record) copy_to(step.record->guided, inner.update());
  step.set_update(inner.update());
}

Tensor* FullConfidence::state(Slot slot) {
  if (slot == Slot::confidence_row) return instability_.state(Slot::second_moment);
  return momentum_.state(slot);
}

}  // namespace plumbline::reference
