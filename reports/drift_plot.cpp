#include "reports/drift_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "reports/text.h"

namespace plumbline::reports {
namespace {

using harness::DriftPoint;

// Pixels of the drawing; the page scales it.
constexpr double kWidth = 320, kHeight = 170, kLeft = 44, kRight = 8, kTop = 8, kBottom = 22;
constexpr size_t kMostPoints = 100;
constexpr int kMostDecades = 12;  // below the largest value; smaller ones lie on the lower edge

struct Scale {
  double first_step = 0, last_step = 1;
  int low = -1, high = 0;  // decades

  double x(double step) const {
    const double span = std::max(1.0, last_step - first_step);
    return kLeft + (step - first_step) / span * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    const double decade = std::clamp(std::log10(value), double(low), double(high));
    return kTop + (high - decade) / (high - low) * (kHeight - kTop - kBottom);
  }
};

bool drawable(double value) { return value > 0 && std::isfinite(value); }

bool all_zero(const DriftSeries& series) {
  return std::all_of(series.points.begin(), series.points.end(),
                     [](const DriftPoint& p) { return p.drift == 0 && p.quantization == 0 && p.bound == 0; });
}

// Whether anything can be drawn.
bool fit(const DriftSeries& series, Scale& scale) {
  double smallest = 0, largest = 0;
  for (const DriftPoint& point : series.points) {
    for (const double value : {point.drift, point.quantization, point.bound}) {
      if (!drawable(value)) continue;
      smallest = smallest == 0 ? value : std::min(smallest, value);
      largest = std::max(largest, value);
    }
  }
  if (largest == 0) return false;
  scale.high = static_cast<int>(std::ceil(std::log10(largest)));
  scale.low = std::max(static_cast<int>(std::floor(std::log10(smallest))), scale.high - kMostDecades);
  if (scale.low == scale.high) --scale.low;
  scale.first_step = static_cast<double>(series.points.front().step);
  scale.last_step = static_cast<double>(series.points.back().step);
  return true;
}

std::string axes(const Scale& scale) {
  std::string out;
  auto to = std::back_inserter(out);
  const int every = (scale.high - scale.low + 4) / 5;
  for (int decade = scale.high; decade >= scale.low; decade -= every) {
    const double y = scale.y(std::pow(10.0, decade));
    fmt::format_to(to, R"(<path class="grid" d="M{} {:.1f}H{}"/>)", kLeft, y, kWidth - kRight);
    fmt::format_to(to, R"(<text class="tick" x="{}" y="{:.1f}" text-anchor="end">1e{}</text>)", kLeft - 5, y + 3.5,
                   decade);
  }
  const double base = kHeight - 7;
  fmt::format_to(to, R"(<text class="tick" x="{}" y="{}">step {:.0f}</text>)", kLeft, base, scale.first_step);
  fmt::format_to(to, R"(<text class="tick" x="{}" y="{}" text-anchor="end">{:.0f}</text>)", kWidth - kRight, base,
                 scale.last_step);
  return out;
}

std::string curve(const DriftSeries& series, const Scale& scale, double DriftPoint::*value, std::string_view name) {
  std::string path;
  auto to = std::back_inserter(path);
  bool pen_down = false;
  // More points than pixels would only make the page large; the last is always drawn.
  const size_t last_index = series.points.size() - 1, stride = 1 + last_index / kMostPoints;
  for (size_t i = last_index % stride; i <= last_index; i += stride) {
    const DriftPoint& point = series.points[i];
    if (!drawable(point.*value)) {
      pen_down = false;
      continue;
    }
    const double x = scale.x(static_cast<double>(point.step)), y = scale.y(point.*value);
    // A lone point becomes a dot: round line ends draw a line of no length.
    fmt::format_to(to, "{}{:.1f} {:.1f}{}", pen_down ? "L" : "M", x, y, pen_down ? "" : "h0");
    pen_down = true;
  }
  if (path.empty()) return {};
  const double last = series.points.back().*value;
  return fmt::format(R"(<path class="{0}" d="{1}"><title>{0}, {2} at the last step</title></path>)", name, path,
                     format_number(last));
}

}  // namespace

std::vector<DriftSeries> split_drift(const std::vector<DriftPoint>& points) {
  std::map<harness::Quantity, DriftSeries> by_quantity;
  for (const DriftPoint& point : points) {
    by_quantity[point.quantity].quantity = point.quantity;
    by_quantity[point.quantity].points.push_back(point);
  }
  std::vector<DriftSeries> out;
  for (auto& [quantity, series] : by_quantity) {
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const DriftPoint& a, const DriftPoint& b) { return a.step < b.step; });
    out.push_back(std::move(series));
  }
  return out;
}

std::string plot_drift(const DriftSeries& series) {
  const std::string name = to_string(series.quantity);
  Scale scale;
  if (!fit(series, scale)) {
    return fmt::format(R"(<figure><figcaption>{}</figcaption><p class="quiet">{}</p></figure>)", name,
                       all_zero(series) ? "zero at every step" : "nothing finite to draw");
  }
  const DriftPoint& last = series.points.back();
  return fmt::format(
      R"(<figure><figcaption>{0} <span class="quiet">{1} after step {2}</span></figcaption>)"
      R"(<svg viewBox="0 0 {3} {4}" role="img" aria-label="{0} per step, logarithmic scale">{5}{6}{7}{8}</svg></figure>)",
      name, format_number(last.drift), last.step, kWidth, kHeight, axes(scale),
      curve(series, scale, &DriftPoint::bound, "bound"), curve(series, scale, &DriftPoint::drift, "drift"),
      curve(series, scale, &DriftPoint::quantization, "quantization"));  // dashed, on top: the two often agree
}

}  // namespace plumbline::reports
