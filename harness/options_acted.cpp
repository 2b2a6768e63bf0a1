#include "harness/options_acted.h"

#include <fmt/format.h>

namespace plumbline::harness {

void OptionsActed::note(const reference::StepRecord& r) {
  const auto& o = problem_.options;
  clip_ |= r.clip > 1;
  eps2_ |= o.scale_parameter && r.parameter_rms < o.eps2;
  decay_ |= r.keep != 1;
  relative_ |= o.relative_step && r.rho < o.lr;
  nonfinite_ |= r.nonfinite > 0;
  limiter_ |= r.limiter > 1;
  bias_ |= r.bias != 1;
}

void OptionsActed::describe(bool stepped, const Vacuity& vacuity, CaseResult& out) const {
  const Problem& p = problem_;
  const auto& o = p.options;
  auto use = [&](std::string value, bool acted) { out.options.push_back({std::move(value), acted && stepped}); };
  // An option that another value would have replaced unnoticed did not act.
  auto focus = [&](std::string value, Feature feature) {
    if (std::find(p.focus.begin(), p.focus.end(), feature) != p.focus.end())
      use(std::move(value), vacuity.acted(feature));
  };
  const reference::Path path = p.path();
  use(path == reference::Path::projected  ? "moment=projected"
      : path == reference::Path::factored ? "moment=factored"
      : p.shape.size() < 2                ? "moment=vector"
                                          : "moment=unfactored",
      true);
  const Keeping averages = p.keeping(Slot::row), momentum = p.keeping(Slot::momentum);
  use(fmt::format("storage={}", to_string(averages.storage)), true);
  if (averages.rounding != Rounding::nearest)
    use(fmt::format("rounding={}", to_string(averages.rounding)), vacuity.acted(Feature::rounding));
  use(fmt::format("param={}", to_string(p.parameter)), true);
  if (p.parameter_rounding != Rounding::nearest && p.parameter != DType::float32)
    use("parameter_rounding=stochastic", vacuity.acted(Feature::parameter_rounding));
  use(fmt::format("grad={}", to_string(p.gradient)), true);
  if (p.gradient_scale != 1) use("gradient_scale", true);
  if (p.effective_storage() != p.storage) use("min_quantized_size=float32 state", true);
  use(p.block == 2048 ? "block=2048" : "block<2048", averages.storage != Storage::fp32);
  use(o.clip > 0 ? "clip=on" : "clip=off", o.clip > 0 ? clip_ : true);
  use(o.scale_parameter ? "scale_parameter=true" : "scale_parameter=false", true);
  if (o.scale_parameter) use("eps2=floor", eps2_);
  use(o.relative_step ? "relative_step=true" : "relative_step=false", o.relative_step ? relative_ : true);
  use(o.beta2 ? "beta2=fixed" : "beta2=schedule", p.steps > 1);
  if (!o.beta2) use(fmt::format("beta2_decay={}", o.beta2_decay), p.steps > 1);
  use("lr", o.lr > 0);
  if (o.weight_decay > 0)
    use(o.weight_decay_by == reference::DecayScale::lr ? "weight_decay=lr" : "weight_decay=step_size", decay_);
  if (o.maximize) use("maximize=true", true);
  use(p.carried_norm ? "parameter_norm=carried" : "parameter_norm=fresh",
      o.scale_parameter && (!p.carried_norm || p.steps > 1));
  if (o.eps1 > 1e-25) use("eps1=active", vacuity.acted(Feature::eps1));

  if (o.beta1) {
    use(path == reference::Path::projected ? "momentum=low_rank"
        : p.of_update()                    ? "momentum=update"
                                           : "momentum=gradient",
        true);
    use(fmt::format("momentum_storage={}", to_string(momentum.storage)), true);
    if (momentum.rounding != Rounding::nearest)
      use(fmt::format("momentum_rounding={}", to_string(momentum.rounding)), vacuity.acted(Feature::momentum_rounding));
    if (has_codes(momentum.storage)) use(p.momentum_block == 0 ? "momentum_block=auto" : "momentum_block=set", true);
    if (!o.relative_step) use("bias correction", bias_);
  }
  if (p.confident()) use("confidence=on", true);
  if (o.limiter_margin) use("limiter=on", limiter_);
  if (vacuity.acted(Feature::rounding) || vacuity.acted(Feature::momentum_rounding) ||
      vacuity.acted(Feature::parameter_rounding))
    use("seed", true);
  focus("eps_came", Feature::eps_came);
  focus("momentum", Feature::momentum);
  focus("momentum_of", Feature::momentum_of);
  focus("confidence", Feature::confidence);
  if (path == reference::Path::projected) {
    use(o.projection_scale_by == reference::ScaleType::tensor ? "projection_scale_by=tensor"
                                                              : "projection_scale_by=channel",
        true);
    use(o.projection_factored ? "projection_factored=true" : "projection_factored=false", true);
    if (o.projection_scale != 1)
      use(o.projection_scale_first ? "projection_scale_first=true" : "projection_scale_first=false", true);
    focus("projection_refresh", Feature::projection_refresh);
    focus("projection_eps", Feature::projection_eps);
    focus("projection_seed", Feature::projection_seed);
  }
  if (p.data.regime == Regime::nonfinite && p.data.trace.empty())
    out.options.push_back({fmt::format("nonfinite={}", reference::get_option(o, "nonfinite")), nonfinite_});
  use(fmt::format("data={}", p.data.trace.empty() ? to_string(p.data.regime) : "trace"), true);
}

std::vector<CaseResult::OptionUse> options_set(const Problem& problem) {
  const reference::MomentumStore none;
  CaseResult out;
  OptionsActed(problem).describe(false, Vacuity(problem, none), out);
  return out.options;
}

}  // namespace plumbline::harness
