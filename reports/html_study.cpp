#include <fmt/format.h>

#include <cmath>

#include "reports/html_parts.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

constexpr size_t kTall = 30;  // rows of a table that scrolls

struct Shown {
  std::string text;
  bool number = false;
};

Shown show(const harness::Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return {escape_markup(*text), false};
  if (const auto* count = std::get_if<int64_t>(&cell)) {
    const auto magnitude = *count < 0 ? 0 - uint64_t(*count) : uint64_t(*count);
    return {(*count < 0 ? "-" : "") + format_count(magnitude), true};
  }
  const double value = std::get<double>(cell);
  return {std::isnan(value) ? "" : format_cell(value), true};
}

}  // namespace

void open_section(Page& page, std::string_view id, std::string_view heading, std::string_view badge_markup) {
  page.add(fmt::format("<section id=\"{0}\" aria-labelledby=\"{0}-heading\"><h2 id=\"{0}-heading\">{1}{2}{3}</h2>",
                       escape_markup(id), escape_markup(heading), badge_markup.empty() ? "" : " ", badge_markup));
}

void close_section(Page& page) { page.add("</section>\n"); }

void table(Page& page, const harness::Table& t) {
  std::string out = fmt::format(R"(<div class="wide{}" role="region" tabindex="0" aria-label="{}"><table>)",
                                t.rows.size() > kTall ? " tall" : "", escape_markup(t.caption));
  if (!t.caption.empty()) out += fmt::format("<caption>{}</caption>", escape_markup(t.caption));
  // A column is set to the right when all that stands in it are numbers.
  std::vector<bool> numbers(t.columns.size(), !t.rows.empty());
  for (const auto& row : t.rows) {
    for (size_t i = 0; i < std::min(row.size(), numbers.size()); ++i)
      if (std::holds_alternative<std::string>(row[i]) && !std::get<std::string>(row[i]).empty()) numbers[i] = false;
  }
  out += "<thead><tr>";
  for (size_t i = 0; i < t.columns.size(); ++i)
    out += fmt::format(R"(<th scope="col"{}>{}</th>)", numbers[i] ? R"( class="n")" : "", escape_markup(t.columns[i]));
  out += "</tr></thead><tbody>";
  for (const auto& row : t.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const Shown shown = show(row[i]);
      const bool right = i < numbers.size() ? bool(numbers[i]) : shown.number;
      out += fmt::format("<td{}>{}</td>", right ? R"( class="n")" : "", shown.text);
    }
    out += "</tr>";
  }
  page.add(out + "</tbody></table></div>");
}

void study(Page& page, const harness::Section& section) {
  open_section(page, section.id, section.title, section.green ? "" : R"(<span class="badge bad">red</span>)");
  if (!section.text.empty()) page.add(fmt::format(R"(<p class="quiet">{}</p>)", escape_markup(section.text)));
  if (!section.charts.empty()) {
    page.add(R"(<div class="figures">)");
    for (const harness::Chart& chart : section.charts)
      page.figure(section.id + "-" + chart.id, chart,
                  section.charts.size() == 1 || chart.kind == harness::Chart::Kind::heatmap);
    page.add("</div>");
  }
  for (const harness::Table& t : section.tables) table(page, t);
  close_section(page);
}

}  // namespace plumbline::reports::html
