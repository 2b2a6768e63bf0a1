// Contracts of scalars: clip, limiter, bias correction, step size, keep.
#include "harness/contracts/stages.h"

namespace plumbline::harness {

// max and division are Lipschitz: the clip moves by at most what RMS(u)/d moves, and not at all safely below d.
void bound_clip(const StageContext& c, double mean_square, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const auto& o = c.problem.options;
  const double d = o.clip;
  b.update_rms = b.clip = 0;
  if (!(d > 0) && !o.limiter_margin) return;
  const bool scaled = c.problem.path() == reference::Path::projected && o.projection_scale_first;
  const double rms =
      d > 0 ? r.update_rms : std::sqrt(r.update.data.square().mean() * (scaled ? o.projection_scale : 1));
  b.update_rms = mean_square / (std::sqrt(std::max(rms * rms - mean_square, 0.0)) + rms);
  if (!(b.update_rms <= rms)) b.update_rms = std::sqrt(mean_square);
  if (!(d > 0)) return;
  const double over = rms / d, error = b.update_rms / d;
  b.clip = over + error <= 1 ? 0.0 : error + kScalar * over;
}

// l = max(nu/(nu' + 1e-8), 1 + gamma)/(1 + gamma), nu' <- nu/l
void bound_limiter(const StageContext& c, StepBounds& b) {
  const reference::StepRecord& r = c.record;
  const auto& o = c.problem.options;
  b.update_norm = b.limiter = b.previous_norm = 0;
  if (!o.limiter_margin) return;
  const double count = double(r.update.size()), own = double_sum(count) + kScalar;
  if (c.problem.confident()) {
    const Factors f = confidence_factors(r, b);
    const double mean_square =
        folded_norm_error(c, f, c.arithmetic.momentum_square, c.momentum->values.data, c.momentum_error(), r.guided);
    const double rms = std::sqrt(r.guided.data.square().mean());
    b.update_norm = std::min(std::sqrt(mean_square), safe_ratio(mean_square, rms)) * std::sqrt(count);
  } else if (c.momentum && c.problem.of_update()) {
    b.update_norm = c.momentum_error() * r.update_norm;
  } else if (o.clip > 0 && r.update_rms - b.update_rms >= o.clip) {
    b.update_norm = 0;  // nu = d sqrt(N), whatever RMS(u) is
  } else {
    b.update_norm = b.update_rms * std::sqrt(count);
  }
  b.update_norm += own * r.update_norm;

  const double most = 1 + *o.limiter_margin, previous = c.before.previous_norm;
  const double growth = r.update_norm / (previous + 1e-8), moved = b.update_norm / (previous + 1e-8) + kScalar * growth;
  const bool recording = !(previous > 0);
  const bool below = recording || growth + moved <= most;
  b.limiter = below ? 0 : moved / most + kScalar * r.limiter;
  b.previous_norm = !below && growth - moved >= most ? 0.0 : b.update_norm;
  b.previous_norm += kScalar * r.update_norm;
}

void bound_step_size(const StageContext& c, StepBounds& b) {
  // 1 - beta^t by repeated squaring in double-double and one difference; the reference's logarithm, product and expm1
  auto power_error = [](double beta, int64_t t) {
    return 5 * 0x1p-53 + double(t) * 0x1p-100 / -std::expm1(double(t) * std::log(beta));
  };
  const reference::StepRecord& r = c.record;
  const auto& o = c.problem.options;
  const Arithmetic& a = c.arithmetic;
  // sqrt(1 - beta2^t)/(1 - beta1^t), the root where beta2 is fixed; a root and a quotient on either side
  b.bias = o.beta1 && !o.relative_step
               ? r.bias * (power_error(*o.beta1, r.step) +
                           (o.beta2 ? power_error(*o.beta2, r.step) / 2 + 0x1p-52 : 0.0) + 0x1p-52)
               : 0;
  // one product on either side, and for 1/sqrt(t) a root and a quotient
  b.step_size = r.step_size * (o.relative_step ? 6 : 2) * 0x1p-53 + (o.scale_parameter ? r.rho * b.parameter_rms : 0.0);
  b.keep = o.weight_decay == 0
               ? 0.0
               : gamma(a.step_coefficient) * std::fabs(r.keep) + kScalar +
                     (o.weight_decay_by == reference::DecayScale::step_size ? o.weight_decay * b.step_size : 0.0);
}

}  // namespace plumbline::harness
