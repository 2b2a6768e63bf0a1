#include "reports/drift.h"

#include <algorithm>
#include <map>

namespace plumbline::reports {

std::vector<DriftSeries> split_drift(const std::vector<harness::DriftPoint>& points) {
  std::map<harness::Quantity, DriftSeries> by_quantity;
  for (const harness::DriftPoint& point : points) {
    by_quantity[point.quantity].quantity = point.quantity;
    by_quantity[point.quantity].points.push_back(point);
  }
  std::vector<DriftSeries> out;
  for (auto& [quantity, series] : by_quantity) {
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const harness::DriftPoint& a, const harness::DriftPoint& b) { return a.step < b.step; });
    out.push_back(std::move(series));
  }
  return out;
}

}  // namespace plumbline::reports
