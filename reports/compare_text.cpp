#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/compare.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

constexpr size_t kShown = 4;  // of every list

std::string side(const char* name, const std::string& path, const harness::RunDescription& run, size_t seeds) {
  return fmt::format("{}  {}: {} ({}), subject {}{}, suite {}, {}\n", name, path, run.version, run.commit, run.subject,
                     run.gpu.empty() ? "" : " on " + run.gpu, run.suite,
                     seeds == 1 ? fmt::format("seed {}", run.seed) : fmt::format("{} seeds", seeds));
}

void cases(std::string& out, const char* what, const std::vector<CaseChange>& changes) {
  if (changes.empty()) return;
  out += fmt::format("{:<13}{}\n", what, format_count(changes.size()));
  for (size_t i = 0; i < std::min(changes.size(), kShown); ++i)
    out += fmt::format("  {} -> {}  {}\n", to_string(changes[i].before), to_string(changes[i].after),
                       case_command(changes[i].line));
  if (changes.size() > kShown) out += fmt::format("  and {} more\n", format_count(changes.size() - kShown));
}

}  // namespace

std::string comparison_text(const Comparison& c) {
  std::string out = side("before", c.name_before, c.before, c.seeds_before.size()) +
                    side("after ", c.name_after, c.after, c.seeds_after.size());
  out += fmt::format("cases        {} in both, {} only before, {} only after\n", format_count(c.common),
                     format_count(c.only_before), format_count(c.only_after));
  if (c.new_red.empty()) out += "new red      none\n";
  cases(out, "new red", c.new_red);
  cases(out, "now green", c.no_longer_red);
  cases(out, "not judged", c.not_judged);
  for (const JudgedChange& j : c.judges_fewer)
    out += fmt::format("judged       {}: {:.6g} -> {:.6g} cases a run  REGRESSED\n", j.suite, j.before, j.after);
  for (const std::string& section : c.red_sections) out += fmt::format("red study    {}\n", section);
  for (const std::string& section : c.lost_sections) out += fmt::format("lost study   {}\n", section);

  auto changed = c.headroom;
  std::erase_if(changed, [](const HeadroomChange& change) { return !change.significant; });
  std::sort(changed.begin(), changed.end(), [](const auto& a, const auto& b) { return a.nearer > b.nearer; });
  out += fmt::format("headroom     {} of {} quantities and sizes changed (level {:g} in all)\n", changed.size(),
                     c.headroom.size(), c.options.level);
  for (size_t i = 0; i < std::min(changed.size(), kShown); ++i) {
    const HeadroomChange& h = changed[i];
    out += fmt::format("  {} ({}): median error/bound {} -> {}, nearer to the bound in {:.0f} % of pairs, p {:.1e}{}\n",
                       to_string(h.quantity), to_string(h.size), format_number(h.median_before),
                       format_number(h.median_after), 100 * h.nearer, h.p, h.regressed ? "  REGRESSED" : "");
  }
  for (const SpeedChange& s : c.speed)
    out +=
        fmt::format("speed        {}: {:.3f} times the time ({:.3f} to {:.3f} over the runs), {} cases, {} -> {}{}\n",
                    s.suite, s.ratio, s.low, s.high, format_count(s.cases), format_seconds(s.seconds_before),
                    format_seconds(s.seconds_after),
                    s.regressed ? "  REGRESSED"
                    : s.judged  ? ""
                                : ", not judged");
  const bool unjudged = std::any_of(c.speed.begin(), c.speed.end(), [](const auto& s) { return !s.judged; }) ||
                        std::any_of(c.measures.begin(), c.measures.end(), [](const auto& m) { return !m.judged; });
  if (unjudged && !c.options.ignore_speed)
    out += fmt::format("  speed is judged between folders of {} or more runs each: {} and {} are here\n", kSpeedRuns,
                       c.seeds_before.size(), c.seeds_after.size());
  size_t slower = 0;
  for (const MeasureChange& m : c.measures) {
    if (!m.regressed || ++slower > kShown) continue;
    out += fmt::format("  {}: {}: {} -> {}  REGRESSED\n", m.where, m.what, format_cell(m.before), format_cell(m.after));
  }
  if (!c.measures.empty())
    out += fmt::format("measures     {} of {} in studies' tables are slower by more than {:.0f} % in every run\n",
                       slower, c.measures.size(), 100 * (c.options.slower - 1));
  if (!c.bits_known)
    out += fmt::format("bits         not recorded in both{}\n", c.bits_regressed ? "  REGRESSED" : "");
  else
    out += fmt::format("bits         {} of {} cases changed{}\n", format_count(c.changed_bits.size()),
                       format_count(c.bits_compared), c.bits_regressed ? "  REGRESSED" : "");
  for (size_t i = 0; i < std::min(c.changed_bits.size(), kShown); ++i)
    out += fmt::format("  {}\n", case_command(c.changed_bits[i].line));
  return out;
}

}  // namespace plumbline::reports
