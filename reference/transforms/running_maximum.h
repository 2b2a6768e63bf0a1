// V^ <- max(V^, V), element by element: what is divided by never falls      [Reddi et al. 2018, AMSGrad, alg. 2]
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

// Behind a full second moment.
class RunningMaximum final : public Transform {
 public:
  explicit RunningMaximum(const Shape& shape) : largest_(shape) {}
  void apply(Step& step) override {
    const Vector& v = step.moment.full->data;
    largest_.data = (v > largest_.data || v.isNaN()).select(v, largest_.data);
    step.moment.full = &largest_;
  }
  Tensor* state(Slot slot) override { return slot == Slot::largest_second_moment ? &largest_ : nullptr; }
  const Tensor& largest() const { return largest_; }

 private:
  Tensor largest_;  // V^
};

}  // namespace plumbline::reference
