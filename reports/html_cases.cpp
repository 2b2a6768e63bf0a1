#include <fmt/format.h>

#include <cmath>

#include "harness/bundle.h"
#include "reports/html_parts.h"
#include "reports/red_groups.h"
#include "reports/section_json.h"
#include "reports/text.h"

#include <nlohmann/json.hpp>

namespace plumbline::reports::html {
namespace {

using harness::Verdict;

constexpr size_t kRedShown = 100;          // written out
constexpr size_t kMoreBudget = 1'000'000;  // bytes of further red cases, shown on demand

std::string first_broken(const CaseEntry& c) {
  if (!c.first_broken) return {};
  std::string out = quantity_link(*c.first_broken);
  if (c.first_broken_step) out += fmt::format(R"(<br/><span class="quiet">step {}</span>)", *c.first_broken_step);
  return out;
}

// got, expected and bound of the element that broke first, or else of the worst.
std::string element(const CaseDetail& c) {
  const QuantityDetail* shown = nullptr;
  for (const auto& q : c.quantities) {
    const bool first = c.entry.first_broken && q.quantity == *c.entry.first_broken;
    if (first || shown == nullptr || (!c.entry.first_broken && q.max > shown->max)) shown = &q;
    if (first) break;
  }
  if (shown == nullptr) return {};
  const auto& w = shown->worst;
  return fmt::format(R"(<div class="quiet">{}[{}] at step {}: got {}, expected {}{}, error/bound {}</div>)",
                     to_string(shown->quantity), w.index, w.step, format_exact(w.got), format_exact(w.expected),
                     std::isnan(w.bound) ? ", without a bound" : " ± " + format_number(w.bound),
                     format_number(w.ratio));
}

std::string hex(const std::optional<uint64_t>& bits, int width) {
  return bits ? fmt::format("<code>{:0{}x}</code>", *bits, width / 4) : "";
}

// The worst element of the broken stage between its neighbours, with the bits that are and those that should be.
std::string window(const harness::ElementWindow& w) {
  const int width = harness::stored_width(w.type);
  const bool bits = w.type != "count", blocks = !w.block.empty();
  std::string out = fmt::format(
      R"(<details><summary>{} around the worst element, step {}</summary><table class="elements"><thead><tr><th scope="col" class="n">element</th>)"
      R"({}<th scope="col" class="n">got</th><th scope="col" class="n">expected</th><th scope="col" class="n">±</th>)"
      R"(<th scope="col" class="n">error/bound</th>{}</tr></thead><tbody>)",
      to_string(w.quantity), w.step, blocks ? R"(<th scope="col" class="n">block</th>)" : "",
      bits ? fmt::format(R"(<th scope="col">{} got</th><th scope="col">expected</th><th scope="col">xor</th>)", w.type)
           : "");
  for (size_t i = 0; i < w.index.size(); ++i) {
    out += fmt::format(R"(<tr{}><td class="n">{}</td>)", w.ratio[i] <= 1 ? "" : R"( class="worst")", w.index[i]);
    if (blocks) out += fmt::format(R"(<td class="n">{}</td>)", w.block[i]);
    out += fmt::format(R"(<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>)",
                       format_exact(w.got[i]), format_exact(w.expected[i]), format_number(w.bound[i]),
                       format_number(w.ratio[i]));
    if (bits) {
      const auto got = harness::stored_bits(w.type, w.got[i]), expected = harness::stored_bits(w.type, w.expected[i]);
      out += fmt::format("<td>{}</td><td>{}</td><td>{}</td>", hex(got, width), hex(expected, width),
                         got && expected ? hex(*got ^ *expected, width) : "");
    }
    out += "</tr>";
  }
  return out + "</tbody></table></details>";
}

// All red cases at one glance.
std::string groups(const Summary& s) {
  std::string out =
      R"(<div class="wide"><table><thead><tr><th scope="col">what</th><th scope="col" class="n">cases</th>)"
      R"(<th scope="col">what these cases share and the green ones do not, and the smallest of them</th></tr></thead><tbody>)";
  for (const RedGroup& group : group_red(s)) {
    const std::string shared = describe_shared(group);
    out += fmt::format(
        R"(<tr><td class="nowrap"><b>{}</b></td><td class="n">{}</td><td class="reason">{}{}</td></tr>)", group.what,
        format_count(group.cases),
        shared.empty() ? R"(<span class="quiet">nothing that tells them apart</span>)" : escape_markup(shared),
        copy_line(group.shortest));
  }
  return out + "</tbody></table></div>";
}

std::string bundle(const CaseDetail& c) {
  if (c.bundle.empty()) return {};
  return fmt::format(
      R"(<div class="quiet">its bits: <a href="{0}/case.json">{0}</a>, beside this page; plumbline case --bundle runs it again and compares</div>)",
      escape_markup(c.bundle));
}

// Red cases that are not kept whole, or too many to write out: rows for the page's script.
std::string more_json(const Summary& s, size_t& count) {
  std::set<std::pair<std::string_view, std::string_view>> written;
  size_t shown = 0;
  for (const auto& c : s.red.kept()) {
    if (shown++ == kRedShown) break;
    written.emplace(c.entry.suite, c.entry.line);
  }
  std::string out;
  for (const CaseEntry& c : s.cases) {
    if (!harness::is_red(c.verdict) || written.contains({c.suite, c.line})) continue;
    if (out.size() > kMoreBudget) break;
    std::string stage = c.first_broken ? to_string(*c.first_broken) : "";
    if (c.first_broken_step) stage += fmt::format(", step {}", *c.first_broken_step);
    out += (out.empty() ? "" : ",\n") +
           dump_json(nlohmann::ordered_json::array({to_string(c.verdict), stage, c.reason, case_command(c.line)}));
    ++count;
  }
  return out;
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

std::string copy_text(std::string_view text) {
  return fmt::format(
      R"(<div class="command"><code>{}</code><button class="copy" type="button" aria-label="copy the command">copy</button></div>)",
      escape_markup(text));
}

std::string copy_line(std::string_view line) { return copy_text(case_command(line)); }

void red_cases(Page& page, const Summary& s) {
  if (s.red_cases() == 0) return;
  open_section(page, "red", "Red cases");
  page.add(groups(s));
  page.add(
      R"(<p class="quiet">The first quantity outside its bound names the broken stage.</p><div class="wide cases"><table><thead><tr>)"
      R"(<th scope="col">verdict</th><th scope="col">first outside</th><th scope="col">what happened, and the line that repeats it</th></tr></thead>)"
      R"(<tbody>)");
  size_t shown = 0;
  for (const auto& c : s.red.kept()) {
    if (shown == kRedShown) break;
    ++shown;
    page.add(fmt::format(R"(<tr><td>{}</td><td class="nowrap">{}</td><td class="reason">{}{}{}</td></tr>)",
                         badge(c.entry.verdict), first_broken(c.entry), escape_markup(c.entry.reason),
                         c.window ? window(*c.window) : element(c), copy_line(c.entry.line) + bundle(c)));
  }
  page.add(R"(</tbody><tbody id="more-red-rows"></tbody></table></div>)");
  size_t more = 0;
  const std::string rows = more_json(s, more);
  if (more > 0) {
    page.data("more-red", "[" + rows + "]");
    page.add(R"(<p><button type="button" id="more-red-button" hidden="hidden">show more</button></p>)");
  }
  if (s.red_cases() > shown + more)
    page.add(
        fmt::format(R"(<p class="quiet">{} more are in report.json.</p>)", format_count(s.red_cases() - shown - more)));
  close_section(page);
}

}  // namespace plumbline::reports::html
