// u <- u [u g > 0] / max(share of elements with u g > 0, 1e-3): what would go against the gradient waits.
//                                                            [Liang et al. 2024, Cautious optimizers, alg. 1]
#pragma once
#include <algorithm>

#include "reference/transform.h"

namespace plumbline::reference {

class Caution final : public Transform {
 public:
  static constexpr double kSmallestShare = 1e-3;
  void apply(Step& step) override {
    const Vector &u = step.update().data, &g = step.gradient->data;
    const auto agrees = step.scale * u * g > 0;
    const double share = static_cast<double>(agrees.count()) / static_cast<double>(u.size());
    shape_like(update_, step.update().shape, step.update().size());
    update_.data = agrees.select(u, 0.0);
    step.set_update(update_);
    step.scale /= std::max(share, kSmallestShare);
  }

 private:
  Tensor update_;
};

}  // namespace plumbline::reference
