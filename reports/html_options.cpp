#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "reports/html_parts.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

using harness::Verdict;

std::string cell(uint64_t count) {
  return fmt::format(R"(<td class="n{}">{}</td>)", count == 0 ? " zero" : "", format_count(count));
}

// Names of the style sheet's colours.
std::string_view hue(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "good";
    case Verdict::marginal:
    case Verdict::vacuous:
      return "warn";
    case Verdict::skipped:
      return "gray";
    default:
      return "bad";
  }
}

using Options = std::vector<std::pair<std::string, OptionCount>>;

void heat_map(Page& page, const std::string& id, const Options& part, const std::vector<Verdict>& columns) {
  harness::Chart chart;
  chart.id = id;
  chart.title = fmt::format("{} to {}", part.front().first, part.back().first);
  chart.kind = harness::Chart::Kind::heatmap;
  chart.x.title = "";
  chart.y = {"cases", true};
  nlohmann::ordered_json extra = {{"hues", nlohmann::ordered_json::object()},
                                  {"texts", nlohmann::ordered_json::object()}};
  for (const Verdict v : columns) {
    extra["columns"].push_back(to_string(v));
    extra["hues"][to_string(v)] = hue(v);
  }
  for (const auto& [value, count] : part) {
    harness::Series& row = chart.series.emplace_back();
    row.name = value;
    for (const Verdict v : columns) {
      row.labels.emplace_back(to_string(v));
      row.y.push_back(double(count.cases[size_t(v)]));
    }
    const uint64_t acted = std::accumulate(count.acted.begin(), count.acted.end(), uint64_t{0});
    extra["texts"][value] = fmt::format("acted in {}", format_count(acted));
  }
  page.figure("options-" + id, chart, false, extra);
}

std::string counts_table(const Summary& s) {
  std::string out =
      R"(<details class="data"><summary>All counts as a table</summary><div class="wide"><table><thead><tr><th scope="col">option</th>)"
      R"(<th scope="col">value</th><th scope="col" class="n">cases</th><th scope="col" class="n">acted</th>)";
  for (int v = 0; v < harness::kVerdicts; ++v)
    out += fmt::format(R"(<th scope="col" class="n">{}</th>)", to_string(static_cast<Verdict>(v)));
  out += "<th></th></tr></thead>";
  std::string previous;
  for (const auto& [value, count] : s.options) {
    const size_t split = value.find_first_of("=<");
    const std::string name = value.substr(0, split);
    uint64_t cases = 0, acted = 0;
    for (int v = 0; v < harness::kVerdicts; ++v) cases += count.cases[v], acted += count.acted[v];
    const bool first = previous.empty() || name != previous;
    if (first) out += fmt::format("{}<tbody class=\"group\">", previous.empty() ? "" : "</tbody>");
    const bool equals = split != std::string::npos && value[split] == '=';
    out += fmt::format("<tr><td>{}</td><td>{}</td>{}{}", first ? "<b>" + escape_markup(name) + "</b>" : "",
                       split == std::string::npos ? "" : escape_markup(value.substr(split + (equals ? 1 : 0))),
                       cell(cases), cell(acted));
    for (const uint64_t n : count.cases) out += cell(n);
    out +=
        fmt::format("<td>{}</td></tr>", count.covered() == 0 ? R"(<span class="badge warn">not covered</span>)" : "");
    previous = name;
  }
  return out + (previous.empty() ? "" : "</tbody>") + "</table></div></details>";
}

}  // namespace

void options(Page& page, const Summary& s) {
  if (s.options.empty()) return;
  open_section(page, "options", "Options and verdicts");
  page.add(
      R"(<p class="quiet">Cases by option value and verdict; the deeper the colour, the more cases. A value counts as covered only where it )"
      "acted on the result of a case that was judged.</p>");
  std::string missing;
  for (const auto& [value, count] : s.options)
    if (count.covered() == 0) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", escape_markup(value));
  if (!missing.empty()) page.add(fmt::format(R"(<p><span class="badge warn">not covered</span> {}</p>)", missing));
  const Options all(s.options.begin(), s.options.end());
  // Verdicts that no case has would be a wall of zeros.
  std::vector<Verdict> columns;
  for (int v = 0; v < harness::kVerdicts; ++v)
    if (std::any_of(all.begin(), all.end(), [&](const auto& option) { return option.second.cases[size_t(v)] > 0; }))
      columns.push_back(static_cast<Verdict>(v));
  page.add(R"(<div class="figures">)");
  const size_t half = all.size() > 12 ? (all.size() + 1) / 2 : all.size();
  const auto middle = all.begin() + std::ptrdiff_t(half);
  heat_map(page, "first", Options(all.begin(), middle), columns);
  if (middle != all.end()) heat_map(page, "second", Options(middle, all.end()), columns);
  page.add("</div>" + counts_table(s));
  close_section(page);
}

}  // namespace plumbline::reports::html
