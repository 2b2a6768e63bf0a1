// Confidence-guided update whose instability S is averaged whole, element by element:
//   M <- beta1 M + (1 - beta1) u;  S <- beta3 S + (1 - beta3)((u - M)^2 + eps2);  u <- M / sqrt(max(S, floor))
//                                                            [Luo et al. 2023, alg. 2, not factored]
#pragma once
#include "reference/transform.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"

namespace plumbline::reference {

struct FullConfidenceOptions {
  double beta1 = 0.9;
  double beta3 = 0.9999;
  double eps2 = 1e-16;  // added to the squares of u - M
  double floor = 0;     // of S at use
  AverageForm form = AverageForm::sum;
  bool overwrites = false;  // a program that works in place leaves the update where M was
};

class FullConfidence final : public Transform {
 public:
  FullConfidence(const Shape& shape, const FullConfidenceOptions& options);
  void apply(Step& step) override;
  // momentum, confidence_row
  Tensor* state(Slot slot) override;

  const Momentum& momentum() const { return momentum_; }
  const FullMoment& instability() const { return instability_; }
  const Precondition& division() const { return divide_; }
  bool overwrites() const { return overwrites_; }

 private:
  Momentum momentum_;
  FullMoment instability_;
  Precondition divide_;
  bool overwrites_;
  Tensor residual_;  // u - M
};

}  // namespace plumbline::reference
