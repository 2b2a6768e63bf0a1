// The update so far (the gradient, or a momentum of it) over the root of the second moment:
//   u = x / (sqrt(max(V^, floor)) + eps)
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

struct PreconditionOptions {
  double floor = 0;  // of V^
  double eps = 0;    // added to the root, as Adam does
};

class Precondition final : public Transform {
 public:
  explicit Precondition(const PreconditionOptions& options = {}) : options_(options) {}
  void apply(Step& step) override;
  const PreconditionOptions& options() const { return options_; }

 private:
  double divide_factored(const Step& step, Tensor& out);
  double divide_full(const Step& step, Tensor& out);

  PreconditionOptions options_;
  Tensor update_;      // u where no record takes it
  Vector col_factor_;  // (n), scratch: 1/sqrt(C_j), or sqrt(C_j) where eps is added
};

}  // namespace plumbline::reference
