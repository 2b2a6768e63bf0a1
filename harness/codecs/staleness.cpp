#include "harness/codecs/staleness.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace plumbline::harness::codecs {
namespace {

using reference::Rounding;

// Mean of |N(mean, sd)|.
double mean_magnitude(double mean, double sd) {
  if (sd == 0) return std::abs(mean);
  const double z = mean / sd;
  return sd * std::sqrt(2 / std::numbers::pi) * std::exp(-z * z / 2) + mean * (1 - 2 * normal_below(-z));
}

// P(|D| < |e|/2) for a stored change D of mean e and variance noise^2 on a grid of `gap` apart; 0: on no grid.
double moves_little(double e, double noise, double gap) {
  if (gap == 0) return normal_below(-e / (2 * noise)) - normal_below(-1.5 * e / noise);
  const double squares = noise * noise + e * e;
  if (squares < gap * gap / 2) return 1 - squares / (gap * gap);     // 0 or one step: the variance says how often
  const double steps = std::max(std::ceil(e / (2 * gap)) - 1, 0.0);  // those with |k| gap < e/2, and always k = 0
  const double edge = (steps + 0.5) * gap;
  return normal_below((edge - e) / noise) - normal_below((-edge - e) / noise);
}

// The same for a normal E of that mean and standard deviation, over an even grid of its quantiles.
double half_of_change(double mean, double sd, double noise, double gap) {
  if (noise == 0) return 0;
  constexpr int kPoints = 64;
  double share = 0;
  for (int k = 0; k < kPoints; ++k) {
    const double z = -4 + 8 * (k + 0.5) / kPoints, weight = std::exp(-z * z / 2) * 8 / kPoints;
    share += weight * moves_little(std::abs(mean + sd * z), noise, gap);
  }
  return share / std::sqrt(2 * std::numbers::pi);
}

}  // namespace

double normal_below(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double SampleLaw::below(double x) const {
  if (!squares) return normal_below((x - shift) / scale);
  if (x <= 0) return 0;
  const double ratio = x / scale;
  if (columns == 1) return std::erf(std::sqrt(ratio / 2));
  // chi-squared over its degrees of freedom: its cube root is nearly normal           [Wilson & Hilferty 1931]
  const double k = 2.0 / (9 * columns);
  return normal_below((std::cbrt(ratio) - (1 - k)) / std::sqrt(k));
}

double stay_probability(const SampleLaw& law, double w, double x, reference::Interval cell) {
  const double low = (cell.low - (1 - w) * x) / w, high = (cell.high - (1 - w) * x) / w;
  return std::clamp(law.below(high) - law.below(low), 0.0, 1.0);
}

double rounding_variance(Rounding rounding, double gap, double change) {
  if (rounding == Rounding::stochastic) return std::min(change * gap, gap * gap / 6);
  return gap * gap / 12;
}

double window_variance(double w, int64_t steps) {
  const double keep = (1 - w) * (1 - w);
  return (1 - std::pow(keep, double(steps))) / (1 - keep);
}

double predict_stale(const SampleLaw& law, double w, double x, reference::Interval cell, Rounding rounding) {
  const auto steps = int64_t(std::ceil(1 / w - 1e-9));
  const double sum = window_variance(w, steps);
  const double mean = (1 - std::pow(1 - w, double(steps))) * (law.mean() - x);
  const double spread = w * std::sqrt(law.variance() * sum);
  const double gap = cell.high - cell.low;
  const double change = w * mean_magnitude(law.mean() - x, std::sqrt(law.variance()));
  const double noise = std::sqrt(rounding_variance(rounding, gap, change) * sum);
  if (rounding != Rounding::nearest)
    return half_of_change(mean, spread, noise, rounding == Rounding::stochastic ? gap : 0);
  const double frozen = std::pow(stay_probability(law, w, x, cell), double(steps));
  return frozen + (1 - frozen) * half_of_change(mean, spread, noise, 0);
}

}  // namespace plumbline::harness::codecs
