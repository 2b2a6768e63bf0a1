#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "reports/drift.h"
#include "reports/html_parts.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

constexpr size_t kTrainings = 400;       // in the page; the largest drifts first
constexpr size_t kPoints = 60;           // of a curve in the page
constexpr size_t kDataBudget = 900'000;  // bytes of curves in the page

double largest_drift(const TrainingDrift& c) {
  double largest = 0;
  for (const auto& point : c.points) largest = point.drift <= largest ? largest : point.drift;  // NaN wins
  return largest;
}

std::string short_name(harness::Quantity quantity) {
  const std::string name = to_string(quantity);
  return name.substr(0, name.rfind("_drift"));
}

// Three significant digits: a pixel is coarser.
std::string curve(const DriftSeries& series, const std::vector<size_t>& at, double harness::DriftPoint::*value) {
  std::string out = "[";
  for (const size_t i : at) {
    const double v = series.points[i].*value;
    if (out.size() > 1) out += ',';
    out += std::isfinite(v) ? fmt::format("{:.3g}", v) : "null";
  }
  return out + "]";
}

std::string training_json(const TrainingDrift& training) {
  const auto all = split_drift(training.points);
  const size_t count = all.empty() ? 0 : all.front().points.size();
  std::vector<size_t> at;
  for (size_t i = 0; i < count; ++i) {
    const size_t stride = 1 + (count - 1) / kPoints;
    if ((count - 1 - i) % stride == 0) at.push_back(i);
  }
  std::string out = fmt::format(
      "{{\"command\":{},\"steps\":[",
      nlohmann::json(case_command(training.line)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  for (size_t i = 0; i < at.size(); ++i) out += fmt::format("{}{}", i ? "," : "", all.front().points[at[i]].step);
  out += "],\"series\":[";
  const char* separator = "";
  for (const DriftSeries& series : all) {
    if (series.points.size() != count) continue;
    const auto& last = series.points.back();
    out += fmt::format(
        R"({}{{"quantity":"{}","title":"{}: drift {} after step {}","drift":{},"quantization":{},"bound":{}}})",
        separator, to_string(series.quantity), short_name(series.quantity), format_number(last.drift), last.step,
        curve(series, at, &harness::DriftPoint::drift), curve(series, at, &harness::DriftPoint::quantization),
        curve(series, at, &harness::DriftPoint::bound));
    separator = ",";
  }
  return out + "]}";
}

// Every training as one line, per quantity: where they end, over the step at which they do.
harness::Chart overview(const std::vector<const TrainingDrift*>& order) {
  harness::Chart chart;
  chart.id = "last";
  chart.title = "Drift at the end of every training";
  chart.description =
      "A point per training and quantity, by the part that the ledger attributes to stored codes: on the diagonal, "
      "quantization is all of it.";
  chart.kind = harness::Chart::Kind::scatter;
  chart.x = {"quantization part, relative to the reference", true};
  chart.y = {"drift, relative to the reference", true};
  std::map<harness::Quantity, harness::Series> by_quantity;
  for (const TrainingDrift* training : order) {
    for (const DriftSeries& series : split_drift(training->points)) {
      harness::Series& one = by_quantity[series.quantity];
      one.name = short_name(series.quantity);
      one.x.push_back(series.points.back().quantization);
      one.y.push_back(series.points.back().drift);
      one.labels.push_back(training->line);
    }
  }
  for (auto& [quantity, series] : by_quantity) chart.series.push_back(std::move(series));
  return chart;
}

}  // namespace

void drift(Page& page, const Summary& s) {
  if (s.drift.empty()) return;
  std::vector<const TrainingDrift*> order;
  for (const auto& c : s.drift) order.push_back(&c);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const double drift_a = largest_drift(*a), drift_b = largest_drift(*b);
    return std::make_tuple(std::isnan(drift_a), drift_a) > std::make_tuple(std::isnan(drift_b), drift_b);
  });
  std::set<harness::Quantity> quantities;
  for (const TrainingDrift* training : order)
    for (const auto& point : training->points) quantities.insert(point.quantity);

  open_section(page, "drift", "Drift of recorded trainings");
  page.add(
      R"(<p class="quiet">Distance from the free-running double-precision reference after each step, relative to its norm, and the ledger's )"
      "parts of it: what stored codes changed, and the derived bound of the rest. The largest drifts come first.</p>");
  std::string data, choices;
  size_t shown = 0;
  for (; shown < std::min(order.size(), kTrainings) && data.size() < kDataBudget; ++shown) {
    data += fmt::format("{}{}", shown ? ",\n" : "", training_json(*order[shown]));
    choices += fmt::format(R"(<option value="{}">{}: {}</option>)", shown, format_number(largest_drift(*order[shown])),
                           escape_markup(order[shown]->line));
  }
  page.add(fmt::format(
      R"(<div class="choice"><label for="training">training</label><select id="training">{}</select></div>)", choices));
  page.add(
      R"(<div class="command"><code id="training-command"></code><button class="copy" type="button" aria-label="copy the command">copy</button></div>)");
  page.add(R"(<div class="figures">)");
  for (const harness::Quantity quantity : quantities)
    page.add(fmt::format(
        R"(<figure id="{0}" data-drift="{0}" hidden="hidden"><figcaption>{0}</figcaption><div class="plot" role="img" tabindex="0" )"
        R"(aria-label="{0}"></div><p class="walked" aria-live="polite"></p><details class="data"><summary>Numbers</summary></details></figure>)",
        to_string(quantity)));
  page.figure("drift-last", overview(order), true);
  page.add("</div>");
  if (order.size() > shown)
    page.add(fmt::format(R"(<p class="quiet">{} more trainings are in report.json.</p>)", order.size() - shown));
  page.data("trainings", "[" + data + "]");
  close_section(page);
}

}  // namespace plumbline::reports::html
