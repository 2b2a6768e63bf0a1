#include "reports/compare_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/html_parts.h"
#include "reports/page.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

constexpr size_t kCasesShown = 500;

std::string mark(bool regressed) { return regressed ? R"(<span class="badge bad">regressed</span>)" : ""; }

template <class Changes>
bool any_regressed(const Changes& changes) {
  return std::any_of(changes.begin(), changes.end(), [](const auto& change) { return change.regressed; });
}

std::string run_markup(const harness::RunDescription& run, const std::string& name,
                       const std::vector<uint64_t>& seeds) {
  std::string list;
  for (const uint64_t seed : seeds) list += fmt::format("{}{}", list.empty() ? "" : ", ", seed);
  return fmt::format(
      R"(<b>{}</b><br/>{} ({}), subject {}{}, suite {}, seed {}<br/><span class="quiet">{}; {}; {}</span>)",
      escape_markup(name), escape_markup(run.version), escape_markup(run.commit), escape_markup(run.subject),
      run.gpu.empty() ? "" : " on " + escape_markup(run.gpu), escape_markup(run.suite), list, escape_markup(run.cpu),
      escape_markup(run.gpu.empty() ? run.compiler : "CUDA " + run.cuda_toolkit), escape_markup(run.date));
}

void case_list(Page& page, const char* id, const char* title, const std::vector<CaseChange>& changes, bool regressed) {
  if (changes.empty()) return;
  html::open_section(page, id, title, mark(regressed));
  std::string out =
      R"(<div class="wide"><table><thead><tr><th scope="col">before</th><th scope="col">after</th><th scope="col">what happened, and the line that repeats it</th></tr></thead><tbody>)";
  for (size_t i = 0; i < std::min(changes.size(), kCasesShown); ++i)
    out +=
        fmt::format(R"(<tr><td>{}</td><td>{}</td><td class="reason">{}{}</td></tr>)", html::badge(changes[i].before),
                    html::badge(changes[i].after), escape_markup(changes[i].reason), html::copy_line(changes[i].line));
  page.add(out + "</tbody></table></div>");
  if (changes.size() > kCasesShown)
    page.add(fmt::format(R"(<p class="quiet">and {} more</p>)", format_count(changes.size() - kCasesShown)));
  html::close_section(page);
}

void headroom(Page& page, const Comparison& c) {
  if (c.headroom.empty()) return;
  html::open_section(page, "headroom", "Headroom", mark(any_regressed(c.headroom)));
  page.add(fmt::format(
      R"(<p class="quiet">The largest error/bound of every case, by quantity and tensor size. Nearer: how often a case after lies nearer to its bound than one )"
      R"(before (ties count half). p: rank-sum test, corrected for {} rows; a row has changed at {:g} in all, and regressed if besides nearer is at least 56 %.</p>)",
      c.headroom.size(), c.options.level));
  harness::Chart chart{"medians",
                       "Median error/bound, before and after",
                       "A point per quantity and size; above the diagonal, cases have come nearer to their bounds.",
                       harness::Chart::Kind::scatter,
                       {"before", true},
                       {"after", true},
                       {}};
  harness::Table table{"",
                       {"quantity", "tensors", "cases before", "cases after", "median before", "median after",
                        "max before", "max after", "nearer (%)", "p", ""},
                       {}};
  std::array<harness::Series, harness::kSizeClasses> by_size;
  for (const HeadroomChange& h : c.headroom) {
    harness::Series& series = by_size[size_t(h.size)];
    series.name = fmt::format("{} tensors", to_string(h.size));
    series.x.push_back(h.median_before);
    series.y.push_back(h.median_after);
    series.labels.emplace_back(to_string(h.quantity));
    table.rows.push_back({to_string(h.quantity), to_string(h.size), int64_t(h.cases_before), int64_t(h.cases_after),
                          h.median_before, h.median_after, h.largest_before, h.largest_after, 100 * h.nearer, h.p,
                          h.regressed     ? "regressed"
                          : h.significant ? "changed"
                                          : ""});
  }
  for (harness::Series& series : by_size)
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  page.add(R"(<div class="figures">)");
  page.figure("headroom-medians", chart, true);
  page.add("</div>");
  html::table(page, table);
  html::close_section(page);
}

void speed(Page& page, const Comparison& c) {
  if (c.speed.empty() && c.measures.empty()) return;
  html::open_section(page, "speed", "Speed", mark(any_regressed(c.speed) || any_regressed(c.measures)));
  page.add(fmt::format(
      R"(<p class="quiet">Time of the subject in the cases that all runs judged: the middle run after over the middle run before, and from the fastest )"
      R"(after over the slowest before to the opposite. Judged between folders of {} or more runs each: where even the first is beyond {:g} it has regressed.</p>)",
      kSpeedRuns, c.options.slower));
  if (!c.speed.empty()) {
    harness::Table table{"", {"suite", "cases", "before (s)", "after (s)", "after/before", "from", "to", ""}, {}};
    for (const SpeedChange& s : c.speed)
      table.rows.push_back({s.suite, int64_t(s.cases), s.seconds_before, s.seconds_after, s.ratio, s.low, s.high,
                            s.regressed ? "regressed"
                            : s.judged  ? ""
                                        : "not judged"});
    html::table(page, table);
  }
  if (!c.measures.empty()) {
    harness::Table table{
        "Times and rates in tables of studies", {"where", "what", "before", "after", "after/before", ""}, {}};
    for (const MeasureChange& m : c.measures)
      table.rows.push_back({m.where, m.what, m.before, m.after, m.after / m.before,
                            m.regressed ? "regressed"
                            : m.judged  ? ""
                                        : "not judged"});
    html::table(page, table);
  }
  html::close_section(page);
}

}  // namespace

std::string write_compare_html(const Comparison& c) {
  const bool red = c.regressed();
  Page page(fmt::format("Plumbline: {}", red ? "regressed" : "no regression"));
  page.add(fmt::format(
      R"(<main id="content"><header><div class="top"><span class="badge {}">{}</span><span class="quiet">Plumbline, two reports compared</span>)"
      R"(<button type="button" id="theme" hidden="hidden">colours: system</button></div><h1>{}</h1>)",
      red ? "bad" : "good", red ? "regressed" : "no regression",
      escape_markup(fmt::format("{} cases in both, {} newly red, bits of {} changed", format_count(c.common),
                                format_count(c.new_red.size()), format_count(c.changed_bits.size())))));
  page.add(fmt::format(
      R"(<dl class="facts"><div><dt>before</dt><dd>{}</dd></div><div><dt>after</dt><dd>{}</dd></div></dl></header>)",
      run_markup(c.before, c.name_before, c.seeds_before), run_markup(c.after, c.name_after, c.seeds_after)));
  page.add(fmt::format(R"(<p class="quiet">{} cases only before, {} only after{}.</p>)", format_count(c.only_before),
                       format_count(c.only_after),
                       c.bits_known ? fmt::format("; bits compared in {}", format_count(c.bits_compared))
                                    : "; bits were not recorded in both"));
  for (const std::string& section : c.red_sections)
    page.add(fmt::format(R"(<p><span class="badge bad">red study</span> {}</p>)", escape_markup(section)));
  for (const std::string& section : c.lost_sections)
    page.add(fmt::format(R"(<p><span class="badge bad">lost study</span> {}</p>)", escape_markup(section)));
  for (const JudgedChange& j : c.judges_fewer)
    page.add(fmt::format(R"(<p><span class="badge bad">judges fewer</span> {}: {:.6g} cases a run, {:.6g} before</p>)",
                         escape_markup(j.suite), j.after, j.before));
  case_list(page, "new-red", "Newly red", c.new_red, true);
  case_list(page, "skipped", "Judged before, not judged now", c.not_judged, true);
  headroom(page, c);
  speed(page, c);
  case_list(page, "bits", "Changed bits", c.changed_bits, c.bits_regressed);
  case_list(page, "green", "No longer red", c.no_longer_red, false);
  page.add("</main>");
  return std::move(page).finish();
}

}  // namespace plumbline::reports
