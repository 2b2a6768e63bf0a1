#include "reference/codecs/codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <utility>

namespace plumbline::reference {
namespace {

// Midpoints of `count` even intervals of [0.1, 1], times a power of ten.
void add_decade(std::vector<double>& levels, int exponent, int count, bool both_signs) {
  for (int k = 0; k < count; ++k) {
    const double level = std::pow(10.0, exponent) * (0.1 + 0.9 * (k + 0.5) / count);
    levels.push_back(level);
    if (both_signs) levels.push_back(-level);
  }
}

// x with P(Z > x) = p for a standard normal Z, 0 < p <= 1/2: Newton on the tail, which is convex there and so
// approached from below.
double upper_quantile(double p) {
  double x = 0;
  for (int i = 0; i < 60; ++i) {
    const double tail = 0.5 * std::erfc(x / std::numbers::sqrt2);
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    x += (tail - p) / density;
  }
  return x;
}

}  // namespace

Codebook::Codebook(std::vector<double> levels, int bits) : levels_(std::move(levels)), bits_(bits) {
  std::sort(levels_.begin(), levels_.end());
  if (levels_.size() < 2 || levels_.size() > size_t{1} << bits_)
    throw std::invalid_argument("codebook of " + std::to_string(levels_.size()) + " levels: expected 2 to 2^" +
                                std::to_string(bits_));
}

double Codebook::scale_of(std::span<const double> values) const {
  double largest = 0;
  for (const double v : values) {
    if (!std::isfinite(v)) return std::numeric_limits<double>::quiet_NaN();
    largest = std::max(largest, std::abs(v));
  }
  return largest == 0 ? 1 : largest;
}

int Codebook::encode(double value, double scale) const {
  const double x = value / scale;
  if (std::isnan(x)) return 0;
  const auto above = std::lower_bound(levels_.begin(), levels_.end(), x);
  if (above == levels_.begin()) return 0;
  const auto below = above - 1;
  const bool up = above != levels_.end() && *above - x < x - *below;
  return static_cast<int>((up ? above : below) - levels_.begin());
}

Interval Codebook::reach(double value, double scale) const {
  const double x = value / scale;
  if (std::isnan(x)) return {x, x};
  const auto above = std::lower_bound(levels_.begin(), levels_.end(), x);
  if (above == levels_.begin()) return {levels_.front() * scale, levels_.front() * scale};
  if (above == levels_.end()) return {levels_.back() * scale, levels_.back() * scale};
  const double half = (*above - *(above - 1)) / 2;
  return {(x - half) * scale, (x + half) * scale};
}

Codebook dynamic_tree_signed() {
  std::vector<double> levels{0, 1};
  for (int i = 0; i < 7; ++i) add_decade(levels, i - 6, 1 << i, true);
  return {std::move(levels), 8};
}

Codebook dynamic_tree_unsigned() {
  std::vector<double> levels{0, 1};
  for (int i = 0; i < 7; ++i) add_decade(levels, i - 6, 2 << i, false);
  return {std::move(levels), 8};
}

Codebook normal_float4() {
  // Tail probabilities from 1 - 0.9677083 (the mean of 1 - 1/30 and 1 - 1/32) to 1/2, both ends of the even grid.
  constexpr double kTail = (1.0 / 30 + 1.0 / 32) / 2;
  std::vector<double> levels{0};
  const double end = upper_quantile(kTail);
  for (int k = 0; k < 8; ++k) levels.push_back(upper_quantile(kTail + (0.5 - kTail) * k / 8) / end);
  for (int k = 0; k < 7; ++k) levels.push_back(-upper_quantile(kTail + (0.5 - kTail) * k / 7) / end);
  return {std::move(levels), 4};
}

Codebook float4_e2m1() {
  std::vector<double> levels{0};
  for (const double magnitude : {0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0}) {
    levels.push_back(magnitude / 6);
    levels.push_back(-magnitude / 6);
  }
  return {std::move(levels), 4};
}

}  // namespace plumbline::reference
