#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace plumbline::reports {

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
