#include "reference/codecs/linear_u8.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

LinearU8::Scale LinearU8::scale_of(std::span<const double> values) {
  double largest = kSmallestScale;
  for (const double v : values) {
    if (!std::isfinite(v) || v < 0) return {std::numeric_limits<double>::quiet_NaN()};
    largest = std::max(largest, v);
  }
  return {largest};
}

double LinearU8::decode(uint8_t code, Scale scale) { return std::max<double>(code, 0.5) * scale.scale / kSteps; }

double LinearU8::unrounded_code(double value, Scale scale) { return kSteps * value / scale.scale; }

uint8_t LinearU8::encode(double value, Scale scale) {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code) || value <= decode(0, scale)) return 0;
  return static_cast<uint8_t>(std::clamp(std::nearbyint(code), 0.0, 255.0));
}

uint8_t LinearU8::encode_stochastic(double value, Scale scale, double u) {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code)) return 0;
  const double below = std::clamp(std::floor(code), 0.0, kSteps - 1.0);
  // from code 0, half a step, to code 1
  const double fraction = below == 0 ? 2 * code - 1 : code - below;
  return static_cast<uint8_t>(u < fraction ? below + 1 : below);
}

double LinearU8::half_step(double, Scale scale) { return scale.scale / (2 * kSteps); }

Interval LinearU8::reach(double value, Scale scale, Rounding rounding) {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code)) return {code, code};
  const double step = scale.scale / kSteps, inside = std::clamp(code, 0.0, double(kSteps));
  if (rounding == Rounding::stochastic)
    return {std::max(std::floor(inside), 0.5) * step, (inside <= 0.5 ? 0.5 : std::ceil(inside)) * step};
  return {std::max(inside - 0.5, 0.5) * step, (inside <= 0.5 ? 0.5 : std::min(inside + 0.5, double(kSteps))) * step};
}

}  // namespace plumbline::reference
