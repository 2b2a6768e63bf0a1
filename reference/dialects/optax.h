// optax.adafactor (0.2.8): factors the two largest axes, decay weight in float32, momentum after the step size, decay
// added to the update unscaled.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

// Storage of the momentum; the reference keeps it in double.
enum class OptaxMomentumType : uint8_t { float32, float64, bfloat16 };

struct OptaxOptions {
  std::optional<double> learning_rate{};  // none: 1
  int64_t min_dim_size_to_factor = 128;
  double decay_rate = 0.8;  // w_t = (t - decay_offset)^-decay_rate
  int64_t decay_offset = 0;
  bool multiply_by_parameter_scale = true;
  std::optional<double> clipping_threshold = 1;
  std::optional<double> momentum{};
  OptaxMomentumType dtype_momentum = OptaxMomentumType::float32;
  std::optional<double> weight_decay_rate{};
  double eps = 1e-30;
  bool factored = true;
  bool operator==(const OptaxOptions&) const = default;
};

template <>
struct OptionTable<OptaxOptions> {
  static std::span<const OptionField<OptaxOptions>> fields();
};

Optimizer make_optax(const OptaxOptions& options, const Shape& shape);
extern const Dialect kOptax;

}  // namespace plumbline::reference
