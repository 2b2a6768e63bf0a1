// transformers.optimization.Adafactor (5.17): eps inside the averages, momentum of the scaled update, decay by alpha_t.
#pragma once
#include "reference/dialects/dialect.h"

namespace plumbline::reference {

struct HuggingfaceOptions {
  std::optional<double> lr{};  // none with relative_step
  double eps1 = 1e-30;
  double eps2 = 1e-3;
  double clip_threshold = 1;
  double decay_rate = -0.8;
  std::optional<double> beta1{};
  double weight_decay = 0;
  bool scale_parameter = true;
  bool relative_step = true;  // min(1e-2, 1/sqrt(t)), or min(1e-6 t, 1/sqrt(t)) with warmup_init
  bool warmup_init = false;
  bool operator==(const HuggingfaceOptions&) const = default;
};

template <>
struct OptionTable<HuggingfaceOptions> {
  static std::span<const OptionField<HuggingfaceOptions>> fields();
};

Optimizer make_huggingface(const HuggingfaceOptions& options, const Shape& shape);
extern const Dialect kHuggingface;

}  // namespace plumbline::reference
