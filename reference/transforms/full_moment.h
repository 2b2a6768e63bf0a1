// Full second moment, with eps1 injected inside the average:
//   V <- (1-w) V + w (g^2 + eps1)                            [Shazeer & Stern 2018, alg. 4, vectors]
#pragma once
#include "reference/schedule.h"
#include "reference/transform.h"

namespace plumbline::reference {

struct FullMomentOptions {
  DecaySchedule schedule;
  double eps1 = 0;  // added to the squares
  AverageStart start{};
  AverageForm form = AverageForm::sum;
};

class FullMoment final : public Transform {
 public:
  FullMoment(const Shape& shape, const FullMomentOptions& options) : options_(options), moment_(shape) {}
  void apply(Step& step) override;
  Tensor* state(Slot slot) override { return slot == Slot::second_moment ? &moment_ : nullptr; }
  const FullMomentOptions& options() const { return options_; }
  const Tensor& moment() const { return moment_; }

 private:
  FullMomentOptions options_;
  Tensor moment_;  // V
};

}  // namespace plumbline::reference
