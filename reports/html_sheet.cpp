// The first screen of report.html, as a data sheet: what was judged and what was left out, how exact it is.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/glossary.h"
#include "reports/html_parts.h"
#include "reports/nearest.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

using harness::Verdict;

constexpr size_t kFirst = 10;  // rows that are shown at once

std::string counted(uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", format_count(n), n == 1 ? one : many);
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + escape_markup(word);
  return out;
}

// Values of one option that acted in a judged case.
std::string values_of(const Summary& s, const std::string& name) {
  std::vector<std::string> values;
  for (const auto& [value, count] : s.options)
    if (value.starts_with(name + "=") && count.covered() > 0) values.push_back(value.substr(name.size() + 1));
  return listed(values);
}

std::string judged(const Summary& s) {
  std::map<std::string, uint64_t> suites;
  for (const CaseEntry& c : s.cases) suites[c.suite] += c.verdict != Verdict::skipped;
  std::vector<std::string> parts;
  for (const auto& [suite, n] : suites)
    if (n > 0) parts.push_back(fmt::format("{} {}", format_count(n), suite));
  const uint64_t skipped = s.outcome.verdicts[size_t(Verdict::skipped)];
  return fmt::format("<b>{}</b>{}{}", counted(s.outcome.cases() - skipped, "case", "cases"), parts.empty() ? "" : ": ",
                     listed(parts));
}

std::string compared(const Summary& s) {
  uint64_t elements = 0;
  int quantities = 0;
  for (const auto& sizes : s.quantities) {
    uint64_t here = 0;
    for (const QuantitySize& q : sizes) here += q.ratios.total();
    elements += here;
    quantities += here > 0;
  }
  if (elements == 0) return {};
  int64_t smallest = 0, largest = 0, steps = 0;
  for (const CaseEntry& c : s.cases) {
    if (c.verdict == Verdict::skipped) continue;
    smallest = smallest == 0 ? c.elements : std::min(smallest, c.elements);
    largest = std::max(largest, c.elements);
    steps = std::max(steps, c.steps);
  }
  return fmt::format("<b>{}</b> elements of {} quantities; tensors of {} to {} elements, up to {}",
                     format_count(elements), quantities, format_count(uint64_t(smallest)),
                     format_count(uint64_t(largest)), counted(uint64_t(steps), "step", "steps"));
}

std::string types(const Summary& s) {
  std::vector<std::string> parts;
  const auto part = [&](const char* what, const std::string& values) {
    if (!values.empty()) parts.push_back(fmt::format("{} <b>{}</b>", what, values));
  };
  part("parameters", values_of(s, "param"));
  part("gradients", values_of(s, "grad"));
  part("averages in", values_of(s, "storage"));
  part("momentum in", values_of(s, "momentum_storage"));
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string left_out(const Summary& s) {
  std::vector<std::string> parts;
  if (!s.outcome.stopped.empty())
    parts.push_back(fmt::format("<b>{}</b> not begun ({})", counted(s.outcome.not_begun, "case", "cases"),
                                escape_markup(s.outcome.stopped)));
  std::map<std::string, uint64_t> reasons;
  for (const CaseEntry& c : s.cases)
    if (c.verdict == Verdict::skipped && (s.outcome.stopped.empty() || !c.first_broken)) ++reasons[c.reason];
  for (const auto& [reason, n] : reasons) {
    if (parts.size() > 3 || reason == s.outcome.stopped) continue;
    parts.push_back(fmt::format("{} skipped: {}", format_count(n), escape_markup(reason)));
  }
  uint64_t uncovered = 0;
  for (const auto& [value, count] : s.options) uncovered += count.covered() == 0;
  if (uncovered > 0)
    parts.push_back(fmt::format(R"({} that acted in no judged case (<a href="#options">which</a>))",
                                counted(uncovered, "option value", "option values")));
  uint64_t unbounded = 0;
  for (const auto& sizes : s.quantities)
    for (const QuantitySize& q : sizes) unbounded += q.unbounded;
  if (unbounded > 0)
    parts.push_back(fmt::format(R"({} without a bound (<a href="#bounds">of what</a>))",
                                counted(unbounded, "element", "elements")));
  if (s.run.shards > 1) parts.push_back(fmt::format("the other {} shards", s.run.shards - 1));
  return parts.empty() ? "nothing that was planned" : fmt::format("{}", fmt::join(parts, "; "));
}

std::string speed(const Summary& s) {
  double work = 0, seconds = 0;
  for (const CaseEntry& c : s.cases) {
    work += double(c.elements) * double(c.steps) * (c.subject_seconds > 0);
    seconds += c.subject_seconds;
  }
  if (!(seconds > 0)) return {};
  return fmt::format("{} elements a second in the subject, over cases that are mostly small",
                     format_cell(work / seconds));
}

// Typical and worst error on a logarithmic scale from 2^-24 to 2^2; the line is the bound.
std::string plot(const Nearest& n) {
  constexpr double kWidth = 170, kLow = -24, kHigh = 2;
  const auto x = [&](double ratio) {
    if (!(ratio > 0)) return 2.0;
    const double place = (std::log2(std::min(ratio, 1e9)) - kLow) / (kHigh - kLow);
    return 2 + std::clamp(place, 0.0, 1.0) * (kWidth - 4);
  };
  return fmt::format(
      R"(<svg class="range" viewBox="0 0 {0:.0f} 16" role="img" aria-label="typical {4}, worst {5}"><path class="limit" d="M{1:.1f} 0V16"/>)"
      R"(<path class="span" d="M{2:.1f} 8H{3:.1f}"/><path class="typical" d="M{2:.1f} 3V13"/><circle class="{6}" cx="{3:.1f}" cy="8" r="3.5"/></svg>)",
      kWidth, x(1), x(n.typical), x(n.ratio), format_number(n.typical), format_number(n.ratio),
      n.ratio <= 1 ? "inside" : "outside");
}

std::string nearest_row(const Nearest& n) {
  // Two digits of what is left, cut and not rounded: what is within its bound does not look as if it were at it.
  return fmt::format(
      R"(<tr><td>{}</td><td class="n"><b>{}</b></td><td class="n">{}</td><td class="figure">{}</td><td class="n">{}</td><td class="n">{}</td>)"
      R"(<td class="reason"><details><summary>the worst element</summary>element {} at step {}: got {}, expected {}{}{}</details></td></tr>)",
      quantity_link(n.quantity), format_number(n.left()), format_number(n.typical), plot(n),
      std::isnan(n.ulps) ? "" : format_number(n.ulps), format_count(n.elements), n.worst.index, n.worst.step,
      format_exact(n.worst.got), format_exact(n.worst.expected),
      std::isnan(n.worst.bound) ? ", without a bound" : " \u00b1 " + format_number(n.worst.bound), copy_line(n.line));
}

std::string nearest_table(const std::vector<Nearest>& rows, size_t first, size_t last) {
  std::string out =
      R"(<div class="wide" role="region" tabindex="0" aria-label="What is left below the bound"><table><thead><tr><th scope="col">quantity</th>)"
      R"(<th scope="col" class="n">1 − worst</th><th scope="col" class="n">typical</th><th scope="col">error / bound, 2<sup>-24</sup> to 4</th>)"
      R"(<th scope="col" class="n">ulp</th><th scope="col" class="n">elements</th><th scope="col"></th></tr></thead><tbody>)";
  for (size_t i = first; i < last; ++i) out += nearest_row(rows[i]);
  return out + "</tbody></table></div>";
}

}  // namespace

std::string quantity_link(harness::Quantity quantity) {
  return fmt::format(R"(<a class="term" href="#{}" title="{}">{}</a>)", glossary_id(quantity),
                     escape_markup(meaning(quantity)), to_string(quantity));
}

std::string sheet(const Summary& s) {
  if (s.cases.empty() && s.planned == 0) return {};
  std::string out;
  const auto fact = [&](std::string_view name, const std::string& markup) {
    if (!markup.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, markup);
  };
  fact("judged", judged(s));
  fact("left out", left_out(s));
  fact("compared", compared(s));
  fact("types", types(s));
  fact("speed", speed(s));
  return out;
}

void exactness(Page& page, const Summary& s) {
  const std::vector<Nearest> rows = nearest(s, false), roundings = nearest(s, true);
  if (rows.empty() && roundings.empty()) return;
  open_section(page, "nearest", "How exact: what is left below the bounds");
  page.add(
      R"(<p class="quiet">A row a quantity, the nearest to its bound first. The bar marks the typical error, the dot the worst, the red line the )"
      R"(bound; ulp: error of the worst element in units of the last place of a float32.</p>)");
  const size_t first = std::min(kFirst, rows.size());
  if (!rows.empty()) page.add(nearest_table(rows, 0, first));
  if (rows.size() > first)
    page.add(fmt::format("<details><summary>{} more quantities, farther from their bounds</summary>{}</details>",
                         rows.size() - first, nearest_table(rows, first, rows.size())));
  if (!roundings.empty())
    page.add(
        fmt::format("<details><summary>{} roundings to codes, which come near half a step between codes by "
                    "design</summary>{}</details>",
                    roundings.size(), nearest_table(roundings, 0, roundings.size())));
  close_section(page);
}

void glossary(Page& page, const Summary& s) {
  std::string out;
  for (int i = 0; i < harness::kQuantities; ++i) {
    const auto quantity = static_cast<harness::Quantity>(i);
    const auto& sizes = s.quantities[size_t(i)];
    if (std::all_of(sizes.begin(), sizes.end(), [](const QuantitySize& q) { return q.empty(); })) continue;
    out += fmt::format(R"(<div id="{}"><dt>{}</dt><dd>{}</dd></div>)", glossary_id(quantity), to_string(quantity),
                       escape_markup(meaning(quantity)));
  }
  if (out.empty()) return;
  open_section(page, "names", "Names of quantities");
  page.add(R"(<p class="quiet">In the order of the computation.</p><dl class="facts glossary">)" + out + "</dl>");
  close_section(page);
}

}  // namespace plumbline::reports::html
