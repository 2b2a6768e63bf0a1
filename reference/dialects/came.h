// CAME (came_pytorch): constant betas, momentum of the clipped update, confidence for tensors of two axes or more.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

struct CameOptions {
  std::optional<double> lr{};  // required
  double eps1 = 1e-30;         // inside g^2
  double eps2 = 1e-16;         // inside (u - M)^2
  double clip_threshold = 1;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double beta3 = 0.9999;
  double weight_decay = 0;
  bool operator==(const CameOptions&) const = default;
};

template <>
struct OptionTable<CameOptions> {
  static std::span<const OptionField<CameOptions>> fields();
};

Optimizer make_came(const CameOptions& options, const Shape& shape);
extern const Dialect kCame;

}  // namespace plumbline::reference
