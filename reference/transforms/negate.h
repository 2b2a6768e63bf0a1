// Ascent: g <- -g
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class Negate final : public Transform {
 public:
  void apply(Step& step) override;

 private:
  Tensor negated_;
};

}  // namespace plumbline::reference
