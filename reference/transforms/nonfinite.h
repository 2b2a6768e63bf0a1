// What happens to gradient elements that are not finite, or too large for sums of squares.
//   propagate: nothing.  zero: the element counts as 0.  skip: the tensor is left as it was.
#pragma once
#include <limits>

#include "reference/transform.h"

namespace plumbline::reference {

enum class Nonfinite : uint8_t { propagate, zero, skip };

class NonfinitePolicy final : public Transform {
 public:
  // An element is offending unless |g| < limit.
  explicit NonfinitePolicy(Nonfinite policy, double limit = std::numeric_limits<double>::infinity())
      : policy_(policy), limit_(limit) {}
  void apply(Step& step) override;
  Nonfinite policy() const { return policy_; }
  double limit() const { return limit_; }

 private:
  Nonfinite policy_;
  double limit_;
  Tensor cleaned_;
};

}  // namespace plumbline::reference
