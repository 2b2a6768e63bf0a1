// Norm-growth limiter: with nu = |u|, nu' the previous one,
//   l = max(nu/(nu' + 1e-8), 1 + gamma)/(1 + gamma);  u <- u/l;  nu' <- nu/l
// The first step only records.                             [Chen et al. 2024, Fira, eq. 9]
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

struct LimiterOptions {
  double margin = 0.01;         // gamma
  double record_below = 0;      // a previous norm below this, or NaN, only records, as the first step does
  bool nan_stays = false;       // after a previous norm that is NaN every limit is, too
  bool zero_nonfinite = false;  // a norm that is no number counts as 0, and so does the update
};

class Limiter final : public Transform {
 public:
  explicit Limiter(const LimiterOptions& options = {}) : options_(options), previous_norm_({1}) {}
  void apply(Step& step) override;
  Tensor* state(Slot slot) override { return slot == Slot::previous_norm ? &previous_norm_ : nullptr; }

  const LimiterOptions& options() const { return options_; }

  // l for a norm at step t; records it.
  double limit(int64_t t, double norm);

 private:
  LimiterOptions options_;
  Tensor previous_norm_;  // (1): nu'
  Tensor nothing_;        // zeros, where the update is none
};

}  // namespace plumbline::reference
