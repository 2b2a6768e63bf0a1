// rho_t = lr, or relative: min(cap, 1/sqrt(t)); cap = lr, or warmup * t
// alpha_t = rho_t max(eps2, RMS(p)) when scaled by the parameter
// u <- alpha_t u                                             [Shazeer & Stern 2018, sec. 8 and alg. 4]
#pragma once
#include <optional>

#include "reference/transform.h"

namespace plumbline::reference {

struct StepSizeOptions {
  double lr = 1e-2;  // rho, or its cap
  bool relative = false;
  std::optional<double> warmup{};  // relative only: the cap is warmup * t instead of lr
  bool scale_parameter = true;
  double eps2 = 1e-3;         // floor of RMS(p)
  bool nan_is_floor = false;  // max(eps2, NaN) is eps2, as where a program compares numbers of its host
};

class StepSize final : public Transform {
 public:
  explicit StepSize(const StepSizeOptions& options) : options_(options) {}
  void apply(Step& step) override;
  const StepSizeOptions& options() const { return options_; }

 private:
  StepSizeOptions options_;
};

}  // namespace plumbline::reference
