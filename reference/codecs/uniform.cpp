#include "reference/codecs/uniform.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

double UniformCodec::scale_of(std::span<const double> values) const {
  double largest = smallest_scale;
  for (const double x : values) {
    if (!std::isfinite(x)) return std::numeric_limits<double>::quiet_NaN();
    largest = std::max(largest, std::abs(x));
  }
  return largest;
}

double UniformCodec::decode(int code, double scale) const { return code * scale / steps; }

double UniformCodec::unrounded_code(double value, double scale) const { return value / scale * steps; }

int UniformCodec::encode(double value, double scale) const {
  const double code = unrounded_code(value, scale);
  if (std::isnan(code)) return 0;
  return static_cast<int>(std::clamp(std::nearbyint(code), static_cast<double>(low), static_cast<double>(high)));
}

int UniformCodec::encode_stochastic(double value, double scale, double u) const {
  const double x = value / scale * (steps - 1);
  if (std::isnan(x)) return 0;
  const double below = std::floor(x);
  return static_cast<int>(std::clamp(u < x - below ? below + 1 : below, double(low), double(high)));
}

double UniformCodec::decode_stochastic(int code, double scale) const { return code * scale / (steps - 1); }

int UniformCodec::encode_dither(double value, double scale, double offset) const {
  const double x = value / scale * (steps - 1.5) + offset;
  if (std::isnan(x)) return 0;
  return static_cast<int>(std::clamp(std::nearbyint(x), double(low), double(high)));
}

double UniformCodec::decode_dither(int code, double scale, double offset) const {
  return (code - offset) * scale / (steps - 1.5);
}

Interval UniformCodec::reach(double value, double scale, Rounding rounding) const {
  if (std::isnan(value / scale)) return {value / scale, value / scale};
  if (rounding == Rounding::stochastic) {
    const double step = scale / (steps - 1), x = value / step;
    return {std::floor(x) * step, std::ceil(x) * step};
  }
  const double half = scale / (rounding == Rounding::dither ? 2 * steps - 3 : 2 * steps);
  if (rounding == Rounding::dither) return {value - half, value + half};
  const double inside = std::clamp(value, low * scale / steps, high * scale / steps);
  return {std::max(inside - half, low * scale / steps), std::min(inside + half, high * scale / steps)};
}

}  // namespace plumbline::reference
