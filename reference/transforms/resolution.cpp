#include "reference/transforms/resolution.h"

#include "reference/transforms/bias_correction.h"

namespace plumbline::reference {
namespace {

// max(v, floor), a NaN in `v` kept, one in `floor` passed over
void raise(const Vector& v, const Vector& floor, Vector& out) { out = (floor > v).select(floor, v); }

void forget(Tensor& x) {
  x.shape.clear();
  x.data.resize(0);
}

}  // namespace

void Resolution::apply(Step& step) {
  if (step.record)
    for (Tensor* of :
         {&step.record->row_resolution, &step.record->col_resolution, &step.record->second_moment_resolution})
      forget(*of);
  if (!step.resolution || step.resolution->size() == 0) return;
  const double bias = options_.beta1 ? bias_correction(*options_.beta1, options_.beta2, step.t) : 1;
  shape_like(steps_, step.resolution->shape, step.resolution->size());
  steps_.data = bias * step.resolution->data;
  if (!step.moment.full) return raise_factors(step);
  shape_like(full_, step.moment.full->shape, step.moment.full->size());
  steps_.data = steps_.data.square();
  raise(step.moment.full->data, steps_.data, full_.data);
  step.moment.full = &full_;
  if (step.record) copy_to(step.record->second_moment_resolution, steps_);
}

void Resolution::raise_factors(Step& step) {
  SecondMoment& v = step.moment;
  if (!sums_) sums_.emplace(*v.batch);
  sums_->compute(steps_, nullptr);
  shape_like(row_, v.row->shape, v.row->size());
  shape_like(col_, v.col->shape, v.col->size());
  const Vector row = sums_->row / static_cast<double>(v.batch->cols),
               col = sums_->col / static_cast<double>(v.batch->rows);
  raise(v.row->data, row, row_.data);
  raise(v.col->data, col, col_.data);
  if (step.record) {
    step.record->row_resolution = {v.row->shape, row};
    step.record->col_resolution = {v.col->shape, col};
  }
  v.row = &row_;
  v.col = &col_;
}

}  // namespace plumbline::reference
