// Confidence of a momentum of the gradient, its averages multiplied into the factors of the second moment:
//   M <- beta1 M + (1 - beta1) g;  e_ij = (g_ij - M_ij)/sqrt(R_i C_j/mean R)
//   S <- beta3 S + (1 - beta3) mean_j e^2;  T <- beta3 T + (1 - beta3) mean_i e^2
//   A_i = max(R_i S_i, floor);  B_j = max(C_j T_j, floor);  u = M sqrt(max(mean A, normalizer floor)/(A_i B_j))
//                                                            [adafactor8bit 0.2.2 to 0.2.5; no paper has it]
#pragma once
#include "reference/transform.h"
#include "reference/transforms/momentum.h"

namespace plumbline::reference {

struct CombinedConfidenceOptions {
  double beta1 = 0.9;
  double beta3 = 0.9999;
  double normalizer_floor = 0;  // of mean A
  double floor = 0;             // of A and B
  AverageForm form = AverageForm::sum;
};

// Behind a factored second moment, whose factors it takes; the update so far is the gradient.
class CombinedConfidence final : public Transform {
 public:
  CombinedConfidence(const Shape& shape, FactorAxes axes, const CombinedConfidenceOptions& options);
  void apply(Step& step) override;
  // momentum, confidence_row, confidence_col
  Tensor* state(Slot slot) override;

  const CombinedConfidenceOptions& options() const { return options_; }
  const Momentum& momentum() const { return momentum_; }
  const MatrixBatch& batch() const { return batch_; }

 private:
  CombinedConfidenceOptions options_;
  MatrixBatch batch_;
  Momentum momentum_;
  Tensor row_, col_;  // (slices, m), (slices, n): S, T
  Tensor update_;
};

}  // namespace plumbline::reference
