#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace plumbline::reports {
namespace {

// P(X <= k), X binomial(n, 1/2), by summing logarithms of the terms.
double binomial_below(int64_t n, int64_t k) {
  double sum = 0;
  for (int64_t i = 0; i <= k; ++i)
    sum += std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(i) + 1) - std::lgamma(double(n - i) + 1) -
                    double(n) * std::log(2.0));
  return sum;
}

}  // namespace

RankSum rank_sum(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  double m = 0, n = 0, u = 0, ties = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const auto in_a = double(a[i]), in_b = double(b[i]), both = in_a + in_b;
    u += in_b * (m + in_a / 2);  // every b here exceeds all a of lower classes
    m += in_a;
    n += in_b;
    ties += both * (both * both - 1);
  }
  if (m == 0 || n == 0) return {};
  const double all = m + n;
  const double variance = m * n / 12 * (all + 1 - ties / (all * (all - 1)));
  RankSum out;
  out.superiority = u / (m * n);
  if (!(variance > 0)) return out;  // one class only
  const double distance = std::max(0.0, std::fabs(u - m * n / 2) - 0.5);
  out.p = std::erfc(distance / std::sqrt(2 * variance));
  return out;
}

Interval median_interval(std::vector<double> sample, double level) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (sample.empty()) return {0, -kInfinity, kInfinity};
  std::sort(sample.begin(), sample.end());
  const auto n = int64_t(sample.size());
  const double median = (sample[size_t((n - 1) / 2)] + sample[size_t(n / 2)]) / 2;
  // The largest r with P(X <= r - 1) <= level/2 gives [x_r, x_(n+1-r)]; near the normal quantile, found by walking
  // down.
  const double spread = std::sqrt(double(n)) / 2;
  auto r = int64_t(double(n) / 2 - spread * 0.5);
  if (n > 2000) {  // the sum would be long and the normal approximation is good to a rank
    double z = 0;
    while (std::erfc(z / std::sqrt(2.0)) > level) z += 0.01;
    r = int64_t(std::floor(double(n) / 2 - spread * z));
  } else {
    while (r > 0 && binomial_below(n, r - 1) > level / 2) --r;
  }
  if (r <= 0) return {median, -kInfinity, kInfinity};
  return {median, sample[size_t(r - 1)], sample[size_t(n - r)]};
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, p[order[rank]] * double(p.size() - rank)));
    out[order[rank]] = largest;
  }
  return out;
}

}  // namespace plumbline::reports
