#include "reports/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reports/glossary.h"

namespace plumbline::reports {
namespace {

double ulps_of(const harness::WorstElement& w) {
  if (!std::isfinite(w.got) || !std::isfinite(w.expected)) return std::numeric_limits<double>::quiet_NaN();
  const int exponent = w.expected == 0 ? -126 : std::max(std::ilogb(w.expected), -126);
  return std::fabs(w.got - w.expected) / std::ldexp(1.0, exponent - 23);
}

}  // namespace

std::vector<Nearest> nearest(const Summary& s, bool roundings) {
  std::vector<Nearest> out;
  for (int i = 0; i < harness::kQuantities; ++i) {
    const auto quantity = static_cast<harness::Quantity>(i);
    if (is_one_rounding(quantity) != roundings) continue;
    harness::RatioHistogram all;
    Nearest row;
    row.quantity = quantity;
    bool exact = true;
    for (const QuantitySize& q : s.quantities[size_t(i)]) {
      if (q.empty()) continue;
      exact = exact && (q.exact() || q.ratios.total() == 0);
      if (all.total() == 0 || q.ratios.largest > row.ratio) {
        row.worst = q.worst;
        row.line = q.worst_line;
        row.ratio = q.ratios.largest;
      }
      all.merge(q.ratios);
    }
    if (exact || all.total() == 0) continue;
    row.elements = all.total();
    row.typical = std::min(all.quantile(0.5), all.largest);
    row.ulps = ulps_of(row.worst);
    out.push_back(std::move(row));
  }
  std::stable_sort(out.begin(), out.end(), [](const Nearest& a, const Nearest& b) { return a.ratio > b.ratio; });
  return out;
}

}  // namespace plumbline::reports
