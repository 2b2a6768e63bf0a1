// The production optimizer's own rule, as mathematics: statistics with eps1 injection and no other floor; clip; RMS(p)
// before the decay; p <- p (1 - lambda k); p <- p - alpha u.
#pragma once
#include <cstdint>
#include <optional>

#include "reference/optimizer.h"
#include "reference/options.h"
#include "reference/transforms/nonfinite.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {

// |g| from here on falls under the non-finite policy: in float32, sums of squares would overflow.
inline constexpr double kGradientLimit = 0x1p50;

struct PlumblineOptions {
  double lr = 1e-2;                                    // step size rho, or its cap when relative
  bool relative_step = false;                          // rho_t = min(lr, 1/sqrt(t))
  bool scale_parameter = true;                         // alpha_t = rho_t max(eps2, RMS(p))
  double beta2_decay = -0.8;                           // w_t = t^beta2_decay
  std::optional<double> beta2{};                       // instead: w = 1 - beta2
  double eps1 = 1e-30;                                 // added to g^2 inside the averages
  double eps2 = 1e-3;                                  // floor of RMS(p)
  double clip = 1;                                     // d in u / max(1, RMS(u)/d); 0: off
  double weight_decay = 0;                             // lambda
  DecayScale weight_decay_by = DecayScale::step_size;  // or lr
  bool maximize = false;                               // g is negated
  bool factored = true;                                // false: a full second moment also for matrices
  Nonfinite nonfinite = Nonfinite::zero;
  bool operator==(const PlumblineOptions&) const = default;
};

template <>
struct OptionTable<PlumblineOptions> {
  static std::span<const OptionField<PlumblineOptions>> fields();
};

// Throws std::invalid_argument for an option out of range or an empty tensor. State: row (slices, m) and col (slices,
// n) of tensors with two axes or more when factored, else second_moment (shape of the tensor).
Optimizer make_plumbline(const PlumblineOptions& options, Shape shape);

}  // namespace plumbline::reference
