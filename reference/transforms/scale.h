// u <- c u
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class Scale final : public Transform {
 public:
  explicit Scale(double factor) : factor_(factor) {}
  void apply(Step& step) override { step.scale *= factor_; }
  double factor() const { return factor_; }

 private:
  double factor_;
};

}  // namespace plumbline::reference
