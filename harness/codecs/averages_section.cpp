#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/codecs/recommend.h"
#include "harness/codecs/section_parts.h"

namespace plumbline::harness::codecs {

Section averages_section(const Study& study) {
  Section section{"codecs-averages", "Averages of 5,000 steps, stored at every step", "", true, {}, {}};
  section.text =
      "x <- (1 - w) x + w sample, stored and read back at every step, against the same average unstored; w = 0.001 for "
      "averages of squares, 0.1 for momentum. Drift: RMS of x'/x - 1 (momentum: relative L2). Expected: what unbiased "
      "rounding errors add up to. Falling: gradients shrink to a tenth at the start. Pinned: two values of each 64 "
      "hold the "
      "block's range where it is, as a dead and a dominant weight do. Stale: share of values that moved by less than "
      "half "
      "the exact change within 1/w steps, beside the share that step of the code, w and the spread of the samples "
      "predict at "
      "a fixed range; where the range moves, codes move with it and fewer are stale.";
  Table overview{"Drift (%) after 5,000 steps", {"storage"}, {}};
  std::vector<std::string> scenarios;
  std::map<std::string, std::map<std::string, double>> drift;
  std::vector<const Storage*> order;
  for (const AverageRow& row : study.averages) {
    if (std::find(scenarios.begin(), scenarios.end(), row.scenario.brief) == scenarios.end())
      scenarios.push_back(row.scenario.brief);
    const std::string name = label(row.storage);
    if (!drift.contains(name)) order.push_back(&row.storage);
    drift[name][row.scenario.brief] = kPercent * row.figures.drift.measured;
  }
  overview.columns.insert(overview.columns.end(), scenarios.begin(), scenarios.end());
  for (const Storage* storage : order) {
    std::vector<Cell> row{label(*storage)};
    for (const std::string& scenario : scenarios) {
      const auto& of_storage = drift[label(*storage)];
      const auto found = of_storage.find(scenario);
      row.emplace_back(found == of_storage.end() ? std::nan("") : found->second);
    }
    overview.rows.push_back(std::move(row));
  }
  section.tables.push_back(std::move(overview));

  Table all{"Every figure and its bound",
            {"row", "scenario", "storage", "drift (%)", "bound", "expected", "mean (%)", "update (%)", "bound",
             "stale (%)", "predicted"},
            {}};
  Chart stale{
      "stale",
      "Staleness: measured against predicted",
      "Points on the diagonal are as stale as predicted at a fixed block range; below it, moving ranges freed codes.",
      Chart::Kind::scatter,
      {"predicted share (%)", false},
      {"measured share (%)", false},
      {}};
  stale.series = {{"second moments, pinned range", {}, {}, {}, {}, {}},
                  {"second moments, moving range", {}, {}, {}, {}, {}},
                  {"momentum", {}, {}, {}, {}, {}}};
  for (size_t i = 0; i < study.averages.size(); ++i) {
    const AverageRow& r = study.averages[i];
    const AverageFigures& f = r.figures;
    section.green &= f.drift.within() && f.update.within();
    all.rows.push_back({average_id(i), r.scenario.name, label(r.storage), percent(f.drift.measured),
                        percent(f.drift.bound), percent(f.expected), percent(f.bias), percent(f.update.measured),
                        percent(f.update.bound), percent(f.stale), percent(f.predicted)});
    Series& points = stale.series[r.scenario.kind == StateKind::momentum ? 2 : r.scenario.pinned ? 0 : 1];
    points.x.push_back(kPercent * f.predicted);
    points.y.push_back(kPercent * f.stale);
    points.labels.push_back(fmt::format("{}, {}", r.storage.name, r.scenario.name));
  }
  section.tables.push_back(std::move(all));
  std::erase_if(stale.series, [](const Series& series) { return series.x.empty(); });
  section.charts.push_back(std::move(stale));
  return section;
}

}  // namespace plumbline::harness::codecs
