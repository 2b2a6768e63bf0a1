#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "reports/drift_plot.h"
#include "reports/html_sections.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

constexpr size_t kDriftShown = 400;  // trainings with plots; the largest drifts first
constexpr size_t kDriftOpen = 4;     // of those, unfolded

double largest_drift(const harness::CaseResult& c) {
  double largest = 0;
  for (const auto& point : c.drift) largest = point.drift <= largest ? largest : point.drift;  // NaN wins
  return largest;
}

std::string legend(std::string_view name, std::string_view meaning) {
  return fmt::format(
      R"(<span><svg viewBox="0 0 30 8" aria-hidden="true"><path class="{}" d="M2 4H28"/></svg>{}</span>)", name,
      meaning);
}

// "row 0.22, col 0.38, parameter 0.014": where the drift stands at the end.
std::string last_drifts(const std::vector<DriftSeries>& all_series) {
  std::string out;
  for (const DriftSeries& series : all_series) {
    const std::string name = to_string(series.quantity);
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name.substr(0, name.rfind("_drift")),
                       format_number(series.points.back().drift));
  }
  return out;
}

}  // namespace

std::string drift(const Summary& s) {
  std::vector<const harness::CaseResult*> order;
  for (const auto& c : s.drift) order.push_back(&c);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const double drift_a = largest_drift(*a), drift_b = largest_drift(*b);
    return std::make_tuple(std::isnan(drift_a), drift_a) > std::make_tuple(std::isnan(drift_b), drift_b);
  });
  std::string out =
      "<section><h2>Drift of recorded trainings</h2><p class=\"quiet\">Distance from the free-running double-precision "
      "reference after each step, relative to its norm, on a logarithmic scale; the largest drifts first.</p>"
      "<div class=\"legend\">" +
      legend("drift", "drift") + legend("quantization", "part of stored codes") +
      legend("bound", "derived bound of the rest") + "</div>";
  for (size_t i = 0; i < std::min(order.size(), kDriftShown); ++i) {
    const auto& c = *order[i];
    const auto all_series = split_drift(c.drift);
    out += fmt::format("<details{}><summary><b>{}</b> {}</summary>{}<div class=\"plots\">",
                       i < kDriftOpen ? " open=\"open\"" : "", last_drifts(all_series), escape_markup(c.line),
                       copy_line(c.line));
    for (const DriftSeries& series : all_series) out += plot_drift(series);
    out += "</div></details>";
  }
  if (order.size() > kDriftShown) {
    out += fmt::format(R"(<p class="quiet">{} more are in report.json.</p>)", order.size() - kDriftShown);
  }
  return out + "</section>";
}

}  // namespace plumbline::reports::html
