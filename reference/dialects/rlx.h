// rlx_optim Adafactor (Rust): the sum of the row averages where the paper has their mean, and a clip to 1/d.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

struct RlxOptions {
  std::optional<double> lr{};  // none: min(1e-2, 1/sqrt(t)) max(eps2, RMS(p))
  double beta2_decay = -0.8;
  double eps1 = 1e-30;
  double eps2 = 1e-3;
  double clip_threshold = 1;  // d
  double weight_decay = 0;
  bool operator==(const RlxOptions&) const = default;
};

template <>
struct OptionTable<RlxOptions> {
  static std::span<const OptionField<RlxOptions>> fields();
};

Optimizer make_rlx(const RlxOptions& options, const Shape& shape);
extern const Dialect kRlx;

}  // namespace plumbline::reference
