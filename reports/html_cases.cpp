#include <fmt/format.h>

#include "reports/html_sections.h"
#include "reports/text.h"

namespace plumbline::reports::html {
namespace {

using harness::Verdict;

constexpr size_t kRedShown = 100;

std::string first_broken(const harness::CaseResult& c) {
  if (!c.first_broken) return {};
  std::string out = to_string(*c.first_broken);
  if (c.first_broken_step) out += fmt::format(R"(<br/><span class="quiet">step {}</span>)", *c.first_broken_step);
  return out;
}

// got, expected and bound of the element that broke first, or else of the worst.
std::string element(const harness::CaseResult& c) {
  const harness::QuantityResult* shown = nullptr;
  for (const auto& q : c.quantities) {
    const bool first = c.first_broken && q.quantity == *c.first_broken;
    if (first || shown == nullptr || (!c.first_broken && q.ratios.largest > shown->ratios.largest)) shown = &q;
    if (first) break;
  }
  if (shown == nullptr) return {};
  const auto& w = shown->worst;
  return fmt::format(R"(<div class="quiet">{}[{}] at step {}: got {}, expected {} ± {}, error/bound {}</div>)",
                     to_string(shown->quantity), w.index, w.step, format_exact(w.got), format_exact(w.expected),
                     format_number(w.bound), format_number(w.ratio));
}

}  // namespace

std::string_view tone(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "good";
    case Verdict::marginal:
      return "warn";
    case Verdict::skipped:
      return "none";
    default:
      return "bad";
  }
}

std::string badge(Verdict verdict) {
  return fmt::format(R"(<span class="badge {}">{}</span>)", tone(verdict), to_string(verdict));
}

std::string copy_line(std::string_view line) {
  return fmt::format(R"(<code class="copy">{}</code>)", escape_markup(case_command(line)));
}

std::string red_cases(const Summary& s) {
  std::string out =
      "<section><h2>Red cases</h2><p class=\"quiet\">The first quantity outside its bound names the broken stage. A "
      "click "
      "selects a whole line.</p><div class=\"wide\"><table><thead><tr><th>verdict</th><th>first outside</th>"
      "<th>what happened, and the line that repeats it</th></tr></thead><tbody>";
  size_t shown = 0;
  for (const auto& c : s.red.kept()) {
    if (shown == kRedShown) break;
    ++shown;
    out += fmt::format(R"(<tr><td>{}</td><td class="nowrap">{}</td><td class="reason">{}{}{}</td></tr>)",
                       badge(c.verdict), first_broken(c), escape_markup(c.reason), element(c), copy_line(c.line));
  }
  out += "</tbody></table></div>";
  if (s.red_cases() > shown) {
    out += fmt::format(R"(<p class="quiet">{} more are in report.json.</p>)", format_count(s.red_cases() - shown));
  }
  return out + "</section>";
}

std::string worst_cases(const Summary& s) {
  std::string out =
      "<section><h2>Nearest to their bounds</h2><div class=\"wide\"><table><thead><tr><th class=\"n\">error / "
      "bound</th>"
      "<th>verdict</th><th>worst element, and the line that repeats the case</th></tr></thead><tbody>";
  for (const auto& c : s.worst.kept()) {
    harness::CaseResult without_stage;  // the worst element, not the first broken one
    without_stage.quantities = c.quantities;
    out += fmt::format(R"(<tr><td class="n"><b>{}</b></td><td>{}</td><td class="reason">{}{}</td></tr>)",
                       format_number(largest_ratio(c)), badge(c.verdict), element(without_stage), copy_line(c.line));
  }
  return out + "</tbody></table></div></section>";
}

}  // namespace plumbline::reports::html
