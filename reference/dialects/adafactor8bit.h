// adafactor8bit (PyTorch path, unquantized state): what 0.1.0 does, and what 0.3 adds. Options that only say how state
// is stored are read and change nothing.
#pragma once
#include "reference/dialects/dialect.h"
#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

// 0.1.0: eps1 inside the averages and the machine epsilon as floor; decay by alpha_t before the update.
struct Adafactor8bit01Options {
  double lr = 1e-2;  // rho, or its cap when relative
  double beta2_decay = -0.8;
  std::optional<double> eps1 = 1e-30;  // none: the machine epsilon of the parameter's type
  double eps2 = 1e-3;
  double d = 1;
  double weight_decay = 0;
  bool maximize = false;
  bool relative_step = false;
  bool scale_parameter = true;
  bool quantize = true;
  int64_t block_size = 2048;
  int64_t min_8bit_size = 4096;
  bool operator==(const Adafactor8bit01Options&) const = default;
};

// 0.3
struct Adafactor8bitOptions {
  double lr = 1e-2;
  std::optional<double> beta1{};  // momentum of the gradient; with beta3 of the clipped update
  std::optional<double> beta2{};  // fixed w = 1 - beta2
  double beta2_decay = -0.8;
  std::optional<double> beta3{};  // confidence (CAME): needs beta1, factored, no projection
  double eps_came = 1e-8;
  std::optional<double> eps1 = 1e-30;
  double eps2 = 1e-3;
  double weight_decay = 0;
  double d = 1;
  bool maximize = false;
  bool relative_step = true;
  bool scale_parameter = true;
  bool factored = true;
  bool quantize = true;
  int64_t block_size = 2048;
  int64_t m_block_size = 128;
  int64_t min_8bit_size = 4096;
  bool use_cuda_kernel = true;
  int64_t apollo_rank = 0;  // above 0: projection of tensors with two axes or more
  int64_t apollo_update_proj_gap = 200;
  ScaleType apollo_scale_type = ScaleType::channel;
  double apollo_scale = 1;
  bool apollo_scale_front = false;
  double apollo_eps = 1e-6;
  bool apollo_factorize = false;
  bool apollo_cache_proj = false;
  bool scale_weight_decay = true;          // decay by alpha_t instead of rho_t
  bool enable_fira_for_adafactor = false;  // limiter where there is no projection
  double fira_margin = 0.01;
  bool operator==(const Adafactor8bitOptions&) const = default;
};

template <>
struct OptionTable<Adafactor8bit01Options> {
  static std::span<const OptionField<Adafactor8bit01Options>> fields();
};
template <>
struct OptionTable<Adafactor8bitOptions> {
  static std::span<const OptionField<Adafactor8bitOptions>> fields();
};

Optimizer make_adafactor8bit_01(const Adafactor8bit01Options& options, const Shape& shape, double epsilon);
// Projections are Gaussians of the peer's own generator: recorded, or there are none.
Optimizer make_adafactor8bit(const Adafactor8bitOptions& options, const Shape& shape, bool recorded_projection);
extern const Dialect kAdafactor8bit01;
extern const Dialect kAdafactor8bit;

}  // namespace plumbline::reference
