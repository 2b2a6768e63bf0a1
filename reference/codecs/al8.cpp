#include "reference/codecs/al8.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

Al8::Scale Al8::scale_of(const LogRange& range) {
  if (range.nonfinite) return {std::numeric_limits<double>::quiet_NaN(), 1};
  if (range.empty) return {0, 1};
  if (range.lo == range.hi) return {range.hi - 1, 1};
  return {range.lo, range.hi - range.lo};
}

Al8::Scale Al8::scale_of(std::span<const double> values) { return scale_of(log_range(values)); }

double Al8::decode(uint8_t code, Scale scale) {
  if (std::isnan(scale.lo)) return scale.lo;
  return code == 0 ? 0 : std::exp2((code - 1) * scale.r / kSteps + scale.lo);
}

double Al8::unrounded_code(double value, Scale scale) {
  if (std::isnan(scale.lo)) return scale.lo;
  return value == 0 ? 0 : (clamped_log2(value) - scale.lo) / scale.r * kSteps + 1;
}

uint8_t Al8::encode(double value, Scale scale) {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code) || value == 0) return 0;
  return static_cast<uint8_t>(std::clamp(std::nearbyint(code), 1.0, 255.0));
}

double Al8::half_step(double value, Scale scale) {
  if (value == 0) return 0;
  const double inside = std::clamp(value, kSmallestLogged, kLargestLogged);
  return inside * std::expm1(scale.r / (2 * kSteps) * std::log(2.0)) + std::abs(value - inside);
}

}  // namespace plumbline::reference
