#include "reference/codecs/log_codec.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace plumbline::reference {
namespace {

double half_dither(double r, int intervals) { return std::numbers::ln2 * r / (2 * intervals); }

// a/sinh a, also where r is so small that a is 0
double unbias(double a) { return a == 0 ? 1 : a / std::sinh(a); }

}  // namespace

LogScale LogCodec::scale_of(const LogRange& range) const {
  if (range.nonfinite) return {std::numeric_limits<double>::quiet_NaN(), 1};
  if (lo_always) return {*lo_always, range.empty || range.hi <= *lo_always ? 1 : range.hi - *lo_always};
  if (range.empty) return {0, 1};
  if (range.lo == range.hi) return {range.hi - 1, 1};
  return {range.lo, range.hi - range.lo};
}

LogScale LogCodec::scale_of(std::span<const double> values) const {
  LogRange range = log_range(values);
  const bool zeros = std::find(values.begin(), values.end(), 0.0) != values.end();
  if (!has_zero() && zeros) {
    range.lo = clamped_log2(0);
    range.hi = range.empty ? range.lo : range.hi;
    range.empty = false;
  }
  return scale_of(range);
}

double LogCodec::unrounded_code(double value, LogScale scale) const {
  if (std::isnan(scale.lo)) return scale.lo;
  return value == 0 && has_zero() ? 0 : (clamped_log2(value) - scale.lo) / scale.r * steps() + first;
}

int LogCodec::encode(double value, LogScale scale) const {
  const double x = unrounded_code(value, scale);
  if (std::isnan(x) || (value == 0 && has_zero())) return 0;
  return static_cast<int>(std::clamp(std::nearbyint(x), double(first), double(last)));
}

int LogCodec::encode_stochastic(double value, LogScale scale, double u) const {
  const double x = unrounded_code(value, scale);
  if (std::isnan(x) || (value == 0 && has_zero())) return 0;
  const int below = static_cast<int>(std::clamp(std::floor(x), double(first), double(last - 1)));
  const double low = decode(below, scale), high = decode(below + 1, scale);
  const double inside = std::clamp(value, kSmallestLogged, kLargestLogged);
  return u < (inside - low) / (high - low) ? below + 1 : below;
}

int LogCodec::encode_dither(double value, LogScale scale, double offset) const {
  if (std::isnan(scale.lo) || std::isnan(value) || (value == 0 && has_zero())) return 0;
  // A value below a fixed floor counts as the floor.
  const double place = std::clamp((clamped_log2(value) - scale.lo) / scale.r, 0.0, 1.0);
  const double x = place * (steps() - 1) + first + 0.5;
  return static_cast<int>(std::clamp(std::nearbyint(x + offset), double(first), double(last)));
}

double LogCodec::decode(int code, LogScale scale) const {
  if (std::isnan(scale.lo)) return scale.lo;
  return code == 0 && has_zero() ? 0 : std::exp2((code - first) * scale.r / steps() + scale.lo);
}

double LogCodec::decode_dither(int code, LogScale scale, double offset) const {
  if (std::isnan(scale.lo)) return scale.lo;
  if (code == 0 && has_zero()) return 0;
  const int intervals = steps() - 1;
  return unbias(half_dither(scale.r, intervals)) *
         std::exp2((code - first - 0.5 - offset) * scale.r / intervals + scale.lo);
}

Interval LogCodec::reach(double value, LogScale scale, Rounding rounding) const {
  if (std::isnan(scale.lo)) return {scale.lo, scale.lo};
  if (value == 0 && has_zero()) return {0, 0};
  const double inside = std::exp2(std::clamp(clamped_log2(value), scale.lo, scale.lo + scale.r));
  if (rounding == Rounding::dither) {
    const double a = half_dither(scale.r, steps() - 1);
    return {inside * std::exp(-a) * unbias(a), inside * std::exp(a) * unbias(a)};
  }
  if (rounding == Rounding::stochastic) {
    const double x = unrounded_code(value, scale);
    const int below = static_cast<int>(std::clamp(std::floor(x), double(first), double(last - 1)));
    return {x >= last ? decode(last, scale) : decode(below, scale),
            x <= first ? decode(first, scale) : decode(below + 1, scale)};
  }
  const double half = std::exp2(scale.r / (2 * steps()));
  return {inside / half, inside * half};
}

double LogCodec::half_step(double value, LogScale scale) const {
  if (value == 0 && has_zero()) return 0;
  const double inside = std::clamp(value, kSmallestLogged, kLargestLogged);
  return inside * std::expm1(scale.r / (2 * steps()) * std::numbers::ln2) + std::abs(value - inside);
}

}  // namespace plumbline::reference
