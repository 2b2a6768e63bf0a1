// The production optimizer's own rule, as mathematics: statistics with eps1 injection and, where a numerator is stored
// in steps, no less than these in use; numerator g or a momentum of it; clip; momentum of the update, with confidence
// or without; limiter; RMS(p) before the decay; p <- p (1
// - lambda k); p <- p - alpha u. With a projection, the statistics are those of the projected gradient, and the update
// is the gradient scaled per channel.
#pragma once
#include <cstdint>
#include <optional>

#include "reference/optimizer.h"
#include "reference/options.h"
#include "reference/transforms/low_rank.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/nonfinite.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {

// |g| from here on falls under the non-finite policy: in float32, sums of squares would overflow.
inline constexpr double kGradientLimit = 0x1p50;

enum class MomentumOf : uint8_t { gradient, update };

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
  bool maximize = false;                               // p <- p + alpha u
  bool factored = true;                                // false: a full second moment also for matrices
  Nonfinite nonfinite = Nonfinite::zero;
  std::optional<double> beta1{};                  // of the momentum; none: off
  MomentumOf momentum_of = MomentumOf::gradient;  // numerator M of g, or M of the clipped update
  std::optional<double> beta3{};                  // of the confidence; none: off
  double eps_came = 1e-8;                         // added to (u - M)^2 inside its averages
  std::optional<double> limiter_margin{};         // gamma; none: off
  int64_t projection_rank = 0;                    // r; 0: off
  int64_t projection_refresh = 200;               // steps between projections
  ScaleType projection_scale_by = ScaleType::channel;
  double projection_scale = 1;         // its square root multiplies the update
  bool projection_scale_first = true;  // before clip and limiter, else after the limiter
  double projection_eps = 1e-6;        // added to the root of the low-rank second moment
  bool projection_factored = false;    // of the low-rank second moment
  int64_t projection_seed = 0;
  bool operator==(const PlumblineOptions&) const = default;
};

template <>
struct OptionTable<PlumblineOptions> {
  static std::span<const OptionField<PlumblineOptions>> fields();
};

// Which statistics a tensor has.
enum class Path : uint8_t { factored, full, projected };
Path path_of(const PlumblineOptions& options, const Shape& shape);

// Throws std::invalid_argument for an option out of range or options that exclude each other.
void check_options(const PlumblineOptions& options);

// Throws as check_options, and for an empty tensor. State: row (slices, m) and col (slices, n) of the factored path,
// second_moment (shape of the tensor) of the full one, low_rank slots of the projected one; momentum (shape of the
// tensor); confidence; previous_norm. `store` is what the subject's storage makes of a momentum, and its steps: every
// stage after it reads that. `place`: of the tensor in its optimizer; projections differ by it.
Optimizer make_plumbline(const PlumblineOptions& options, Shape shape, const MomentumStore& store = {},
                         uint32_t place = 0);

}  // namespace plumbline::reference
