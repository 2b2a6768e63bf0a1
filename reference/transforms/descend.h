// p <- p - u
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class Descend final : public Transform {
 public:
  void apply(Step& step) override;
};

}  // namespace plumbline::reference
