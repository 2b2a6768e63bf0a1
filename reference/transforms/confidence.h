// Confidence-guided update: M of the update u, its instability S, and the update M over the root of its average.
//   M <- beta1 M + (1 - beta1) u;  S = (u - M)^2 + eps2
//   row and column averages of S with beta3, reconstructed as a factored second moment; u <- M / sqrt(S^)
//                                                            [Luo et al. 2023, alg. 2]
#pragma once
#include "reference/transform.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/resolution.h"

namespace plumbline::reference {

struct ConfidenceOptions {
  double beta1 = 0.9;
  double beta3 = 0.9999;
  double eps2 = 1e-16;             // added to the squares of u - M
  double normalizer_floor = 0;     // of mean_i of the row averages
  double factor_floor = 0;         // of the row and column averages, at use
  MomentumStore store{};           // what is kept of M; none: M
  bool floors_normalizer = false;  // that mean is of floored row averages
  AverageForm form = AverageForm::sum;
  bool overwrites = false;  // a program that works in place leaves the update where M was
  Resolution::Options resolution{};
};

class Confidence final : public Transform {
 public:
  Confidence(const Shape& shape, FactorAxes axes, const ConfidenceOptions& options);
  void apply(Step& step) override;
  // momentum, confidence_row, confidence_col
  Tensor* state(Slot slot) override;

  const Momentum& momentum() const { return momentum_; }
  const FactoredMoment& instability() const { return instability_; }
  const Precondition& division() const { return divide_; }
  bool overwrites() const { return overwrites_; }

 private:
  Momentum momentum_;
  FactoredMoment instability_;
  Resolution resolution_;
  Precondition divide_;
  bool overwrites_;
  Tensor residual_;    // u - M
  StepRecord record_;  // of the averages, where somebody asks
};

}  // namespace plumbline::reference
