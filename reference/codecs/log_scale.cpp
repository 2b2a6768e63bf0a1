#include "reference/codecs/log_scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plumbline::reference {

double clamped_log2(double value) {
  if (!(value >= 0)) return std::numeric_limits<double>::quiet_NaN();
  return std::log2(std::clamp(value, kSmallestLogged, kLargestLogged));
}

LogRange log_range(std::span<const double> values) {
  LogRange range;
  for (const double v : values) {
    if (v == 0) continue;
    if (!std::isfinite(v) || v < 0) {
      range.nonfinite = true;
      continue;
    }
    const double l = clamped_log2(v);
    range.lo = range.empty ? l : std::min(range.lo, l);
    range.hi = range.empty ? l : std::max(range.hi, l);
    range.empty = false;
  }
  return range;
}

}  // namespace plumbline::reference
