#include "reference/codecs/uniform.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

double UniformCodec::scale_of(std::span<const double> values) const {
  double largest = kSmallestScale;
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

}  // namespace plumbline::reference
