#include "reference/codecs/log_u8.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

LogU8::Scale LogU8::scale_of(const LogRange& range) {
  constexpr double kLo = -126;
  if (range.nonfinite) return {std::numeric_limits<double>::quiet_NaN(), 1};
  return {kLo, range.empty || range.hi <= kLo ? 1 : range.hi - kLo};
}

LogU8::Scale LogU8::scale_of(std::span<const double> values) { return scale_of(log_range(values)); }

double LogU8::decode(uint8_t code, Scale scale) {
  return std::isnan(scale.lo) ? scale.lo : std::exp2(code * scale.r / kSteps + scale.lo);
}

double LogU8::unrounded_code(double value, Scale scale) {
  return std::isnan(scale.lo) ? scale.lo : (clamped_log2(value) - scale.lo) / scale.r * kSteps;
}

uint8_t LogU8::encode(double value, Scale scale) {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code)) return 0;
  return static_cast<uint8_t>(std::clamp(std::nearbyint(code), 0.0, 255.0));
}

double LogU8::half_step(double value, Scale scale) {
  const double inside = std::clamp(value, kSmallestLogged, kLargestLogged);
  return inside * std::expm1(scale.r / (2 * kSteps) * std::log(2.0)) + std::abs(value - inside);
}

}  // namespace plumbline::reference
