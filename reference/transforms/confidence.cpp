#include "reference/transforms/confidence.h"

namespace plumbline::reference {

Confidence::Confidence(const Shape& shape, FactorAxes axes, const ConfidenceOptions& o)
    : momentum_(shape, o.beta1),
      instability_(shape, axes,
                   {.schedule = DecaySchedule::fixed(o.beta3),
                    .eps1 = o.eps2,
                    .normalizer_floor = o.normalizer_floor,
                    .factor_floor = o.factor_floor}) {}

void Confidence::apply(Step& step) {
  shape_like(residual_, step.update().shape, step.update().size());
  residual_.data = step.scale * step.update().data;
  momentum_.apply(step);
  residual_.data -= step.update().data;

  // The averages are those of a factored second moment whose gradient is u - M.
  Step inner(step.t, step.parameter, residual_, nullptr);
  instability_.apply(inner);
  inner.set_update(step.update());
  divide_.apply(inner);
  step.set_update(inner.update());
}

Tensor* Confidence::state(Slot slot) {
  if (slot == Slot::confidence_row) return instability_.state(Slot::row);
  if (slot == Slot::confidence_col) return instability_.state(Slot::col);
  return momentum_.state(slot);
}

}  // namespace plumbline::reference
