// Factored second moment, with eps1 injected inside the averages:
//   R_i <- (1-w) R_i + w (mean_j g_ij^2 + eps1)
//   C_j <- (1-w) C_j + w (mean_i g_ij^2 + eps1)
//   V^_ij = R_i C_j / mean_i(R)                              [Shazeer & Stern 2018, alg. 4]
#pragma once
#include "reference/schedule.h"
#include "reference/transform.h"
#include "reference/transforms/square_sums.h"

namespace plumbline::reference {

// What R_i C_j is divided by. The mean is the paper's; the sum makes V^ m times too small.
enum class Normalizer : uint8_t { mean, sum };

struct FactoredMomentOptions {
  DecaySchedule schedule;
  double eps1 = 0;  // added to the mean squares
  Normalizer normalizer = Normalizer::mean;
  double normalizer_floor = 0;     // max(normalizer, floor) at use
  double factor_floor = 0;         // max(R, floor), max(C, floor) at use; the normalizer is of R itself
  bool floors_normalizer = false;  // the normalizer is of max(R, floor) instead
  AverageStart start{};
  AverageForm form = AverageForm::sum;
};

class FactoredMoment final : public Transform {
 public:
  FactoredMoment(const Shape& shape, FactorAxes axes, const FactoredMomentOptions& options);
  void apply(Step& step) override;
  Tensor* state(Slot slot) override;

  const FactoredMomentOptions& options() const { return options_; }
  const MatrixBatch& batch() const { return own_.batch; }

 private:
  FactoredMomentOptions options_;
  SquareSums own_;     // where the chain has none
  Tensor row_;         // (slices, m): R
  Tensor col_;         // (slices, n): C
  Vector normalizer_;  // (slices)
};

}  // namespace plumbline::reference
