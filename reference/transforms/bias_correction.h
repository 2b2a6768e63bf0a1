// u <- u sqrt(1 - W_t)/(1 - beta1^t), W_t the product of all 1 - w_s: beta2^t, or 0 where w_1 = 1; the step size
// alpha_t takes the same factor.                                   [Kingma & Ba 2015, sec. 2]
#pragma once
#include <optional>

#include "reference/transform.h"

namespace plumbline::reference {

// sqrt(1 - W_t)/(1 - beta1^t)
double bias_correction(double beta1, const std::optional<double>& beta2, int64_t t);

class BiasCorrection final : public Transform {
 public:
  explicit BiasCorrection(double beta1, std::optional<double> beta2 = std::nullopt) : beta1_(beta1), beta2_(beta2) {}
  void apply(Step& step) override;
  double beta1() const { return beta1_; }
  const std::optional<double>& beta2() const { return beta2_; }

 private:
  double beta1_;
  std::optional<double> beta2_;  // none: a schedule that begins with w_1 = 1
};

}  // namespace plumbline::reference
