#include "reference/codecs/float_format.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace

double FloatFormat::spacing(double value) const {
  const double magnitude = std::min(std::abs(value), largest);
  const int exponent = magnitude == 0 ? min_exponent : std::max(std::ilogb(magnitude), min_exponent);
  return std::ldexp(1.0, exponent - precision + 1);
}

double FloatFormat::nearest(double value) const {
  if (!std::isfinite(value)) return value;
  const double step = spacing(value), rounded = std::nearbyint(std::abs(value) / step) * step;
  return std::copysign(rounded > largest ? kInf : rounded, value);
}

double FloatFormat::stochastic(double value, double u) const {
  if (!std::isfinite(value)) return value;
  const double step = spacing(value), codes = std::abs(value) / step, below = std::floor(codes);
  const double rounded = (codes - below + u >= 1 ? below + 1 : below) * step;
  return std::copysign(rounded > largest ? kInf : rounded, value);
}

Interval FloatFormat::reach(double value, Rounding rounding) const {
  if (!std::isfinite(value)) return {value, value};
  const double step = spacing(value);
  if (rounding == Rounding::stochastic) return {std::floor(value / step) * step, std::ceil(value / step) * step};
  return {value - step / 2, value + step / 2};
}

}  // namespace plumbline::reference
