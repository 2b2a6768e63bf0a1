// p <- p (1 - lambda k), k = alpha_t, rho_t or lr. Its place in the chain says whether it acts before or after the
// update.
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

enum class DecayScale : uint8_t { step_size, lr, rho };

struct WeightDecayOptions {
  double weight_decay = 0;  // lambda
  DecayScale by = DecayScale::step_size;
  double lr = 0;  // k for DecayScale::lr
};

class WeightDecay final : public Transform {
 public:
  explicit WeightDecay(const WeightDecayOptions& options) : options_(options) {}
  void apply(Step& step) override;
  const WeightDecayOptions& options() const { return options_; }

 private:
  WeightDecayOptions options_;
};

}  // namespace plumbline::reference
