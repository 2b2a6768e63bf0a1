// Decay with the update: u <- u + lambda p
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class CoupledDecay final : public Transform {
 public:
  explicit CoupledDecay(double weight_decay) : weight_decay_(weight_decay) {}
  void apply(Step& step) override;
  double weight_decay() const { return weight_decay_; }

 private:
  double weight_decay_;  // lambda
  Tensor update_;
};

}  // namespace plumbline::reference
