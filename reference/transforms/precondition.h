// The update so far (the gradient, or a momentum of it) over the root of the second moment:
//   u = x / (sqrt(max(V^, floor) + inside) + eps)
#pragma once
#include <cmath>
#include <optional>

#include "reference/transform.h"

namespace plumbline::reference {

struct PreconditionOptions {
  double floor = 0;                  // of V^
  double eps = 0;                    // added to the root, as Adam does
  std::optional<double> eps_beta{};  // eps sqrt(1 - beta^t) instead of eps
  double inside = 0;                 // added under the root
  bool overwrites = false;           // a program that divides in place leaves u where V was; full V only

  double eps_at(int64_t t) const {
    return eps_beta ? eps * std::sqrt(-std::expm1(static_cast<double>(t) * std::log(*eps_beta))) : eps;
  }
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
