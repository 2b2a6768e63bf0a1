#include "cuda/api/presets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plumbline::presets {
namespace {

struct Preset {
  std::string_view name;
  GroupOptions (*make)();
};
constexpr Preset kPresets[] = {{"adafactor", adafactor},
                               {"came", came},
                               {"apollo", apollo},
                               {"apollo_mini", apollo_mini},
                               {"adam_style", adam_style}};

// What the Adam family shares: a fixed beta2, momentum, a step that is lr itself.
GroupOptions adam_family(double lr) {
  GroupOptions o;
  o.lr = lr;
  o.scale_parameter = false;
  o.weight_decay_by = DecayScale::lr;
  o.beta1 = 0.9;
  o.beta2 = 0.999;
  o.parameter_rounding = Rounding::stochastic;
  return o;
}

}  // namespace

GroupOptions adafactor() {
  GroupOptions o;
  o.relative_step = true;
  o.parameter_rounding = Rounding::stochastic;
  return o;
}

GroupOptions came() {
  GroupOptions o = adam_family(2e-4);
  o.momentum_of = MomentumOf::update;
  o.beta3 = 0.9999;
  o.eps_came = 1e-16;
  return o;
}

GroupOptions apollo() {
  GroupOptions o = adam_family(1e-2);
  o.clip = 0;
  o.limiter_margin = 0.01;
  o.projection_rank = 256;
  o.projection_scale_first = false;
  return o;
}

GroupOptions apollo_mini() {
  GroupOptions o = apollo();
  o.projection_rank = 1;
  o.projection_scale_by = ProjectionScale::tensor;
  o.projection_scale = 128;
  return o;
}

GroupOptions adam_style() {
  GroupOptions o = adam_family(1e-3);
  o.factored = false;
  o.clip = 0;
  o.eps1 = 1e-16;
  return o;
}

GroupOptions by_name(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset.make();
  }
  throw OptionError(fmt::format("preset '{}': unknown, expected one of {}", name, fmt::join(names(), ", ")));
}

const std::vector<std::string_view>& names() {
  static const std::vector<std::string_view> all = [] {
    std::vector<std::string_view> found;
    for (const Preset& preset : kPresets) found.push_back(preset.name);
    return found;
  }();
  return all;
}

}  // namespace plumbline::presets
