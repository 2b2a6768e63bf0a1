// torch.optim.Adafactor (2.11): no eps inside the averages but clamps at use, decay before the update, always relative.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

struct TorchOptions {
  double lr = 1e-2;  // cap of rho_t = min(lr, 1/sqrt(t)); k of the decay
  double beta2_decay = -0.8;
  std::optional<double> eps1{};  // none: the machine epsilon of the parameter's type
  double eps2 = 1e-3;
  double d = 1;
  double weight_decay = 0;
  bool maximize = false;
  std::optional<bool> foreach{};  // an implementation
  bool operator==(const TorchOptions&) const = default;
};

template <>
struct OptionTable<TorchOptions> {
  static std::span<const OptionField<TorchOptions>> fields();
};

// epsilon stands for eps1 where that is none.
Optimizer make_torch(const TorchOptions& options, const Shape& shape, double epsilon);
extern const Dialect kTorch;

}  // namespace plumbline::reference
