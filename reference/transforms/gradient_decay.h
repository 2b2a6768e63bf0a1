// g <- g + lambda p: decay as a part of the gradient
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class GradientDecay final : public Transform {
 public:
  explicit GradientDecay(double weight_decay) : weight_decay_(weight_decay) {}
  void apply(Step& step) override {
    shape_like(gradient_, step.gradient->shape, step.gradient->size());
    gradient_.data = step.gradient->data + weight_decay_ * step.parameter.data;
    step.set_gradient(gradient_);
  }
  double weight_decay() const { return weight_decay_; }

 private:
  double weight_decay_;  // lambda
  Tensor gradient_;
};

}  // namespace plumbline::reference
