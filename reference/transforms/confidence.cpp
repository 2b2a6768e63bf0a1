#include "reference/transforms/confidence.h"

#include <utility>

namespace plumbline::reference {

Confidence::Confidence(const Shape& shape, FactorAxes axes, const ConfidenceOptions& o)
    : momentum_(shape, o.beta1, o.store, {.form = o.form}),
      instability_(shape, axes,
                   {.schedule = DecaySchedule::fixed(o.beta3),
                    .eps1 = o.eps2,
                    .normalizer_floor = o.normalizer_floor,
                    .factor_floor = o.factor_floor,
                    .floors_normalizer = o.floors_normalizer,
                    .form = o.form}),
      resolution_(o.resolution),
      overwrites_(o.overwrites) {}

void Confidence::apply(Step& step) {
  shape_like(residual_, step.update().shape, step.update().size());
  residual_.data = step.scale * step.update().data;
  momentum_.apply(step);
  residual_.data -= step.update().data;

  // The averages are those of a factored second moment whose gradient is u - M.
  Step inner(step.t, step.parameter, residual_, step.record ? &record_ : nullptr);
  instability_.apply(inner);
  inner.resolution = step.resolution;
  resolution_.apply(inner);
  inner.set_update(step.update());
  divide_.apply(inner);
  if (overwrites_) momentum_.state(Slot::momentum)->data = inner.update().data;
  if (!step.record) return step.set_update(inner.update());
  std::swap(step.record->confidence_row, record_.row);
  std::swap(step.record->confidence_col, record_.col);
  std::swap(step.record->confidence_mean, record_.row_mean);
  std::swap(step.record->confidence_row_resolution, record_.row_resolution);
  std::swap(step.record->confidence_col_resolution, record_.col_resolution);
  std::swap(step.record->guided, record_.update);
  step.set_update(step.record->guided);
}

Tensor* Confidence::state(Slot slot) {
  if (slot == Slot::confidence_row) return instability_.state(Slot::row);
  if (slot == Slot::confidence_col) return instability_.state(Slot::col);
  return momentum_.state(slot);
}

}  // namespace plumbline::reference
