#include "reports/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "reports/text.h"

namespace plumbline::reports {
namespace {

using harness::CaseResult;
using harness::Verdict;

bool before_worst(const CaseEntry& a, const CaseEntry& b) {
  return a.ratio != b.ratio ? a.ratio > b.ratio : std::tie(a.line, a.suite) < std::tie(b.line, b.suite);
}

int severity(Verdict verdict) { return verdict == Verdict::error ? 0 : verdict == Verdict::fail ? 1 : 2; }

bool before_red(const CaseEntry& a, const CaseEntry& b) {
  return std::make_tuple(severity(a.verdict), std::cref(a.suite), std::cref(a.line)) <
         std::make_tuple(severity(b.verdict), std::cref(b.suite), std::cref(b.line));
}

void add_quantity(QuantitySize& sum, const harness::QuantityResult& q, const std::string& line) {
  // Between equal ratios the line decides, so that the report does not depend on the order of a parallel run.
  const bool worse =
      sum.empty() || q.worst.ratio > sum.worst.ratio || (q.worst.ratio == sum.worst.ratio && line < sum.worst_line);
  if (worse) {
    sum.worst = q.worst;
    sum.worst_line = line;
  }
  sum.bounded = sum.bounded || q.worst.bound != 0;
  if (q.ratios.total() > 0) sum.case_largest.add(q.ratios.largest);
  sum.ratios.merge(q.ratios);
  sum.outside += q.outside;
  sum.unbounded += q.unbounded;
  sum.out_of_range += q.out_of_range;
  ++sum.cases;
}

CaseDetail detail_of(const CaseResult& result, const CaseEntry& entry, const std::string& bundle) {
  CaseDetail detail{entry, {}, result.options, result.times, result.window, bundle};
  for (const auto& q : result.quantities)
    detail.quantities.push_back({q.quantity, q.ratios.total(), q.outside, q.ratios.largest, q.worst});
  return detail;
}

}  // namespace

double QuantitySize::quantile(double q) const { return std::min(ratios.quantile(q), ratios.largest); }

bool is_loose(const QuantitySize& q, harness::SizeClass size) {
  return !q.exact() && harness::is_loose(q.ratios.largest, q.case_largest.total(), size);
}

double largest_ratio(const CaseResult& result) {
  double largest = CaseEntry::kNone;
  for (const auto& q : result.quantities) {
    if (q.ratios.total() > 0) largest = std::max(largest, q.ratios.largest);
  }
  return largest;
}

uint64_t OptionCount::covered() const {
  return acted[size_t(Verdict::pass)] + acted[size_t(Verdict::marginal)] + acted[size_t(Verdict::fail)];
}

bool Selection::wants(const CaseEntry& entry) const {
  return kept_.size() < capacity_ || kept_.key_comp().before(entry, kept_.rbegin()->entry);
}

void Selection::add(CaseDetail detail) {
  kept_.insert(std::move(detail));
  if (kept_.size() > capacity_) kept_.erase(std::prev(kept_.end()));
}

Summary::Summary() : worst(kWorst, before_worst), red(kDetailed, before_red) {}

void Summary::begin(const harness::RunDescription& description, uint64_t planned_cases) {
  run = description;
  planned = planned_cases;
}

void Summary::add(const CaseResult& result, const std::string& bundle) {
  const auto verdict = static_cast<size_t>(result.verdict);
  const auto size = static_cast<size_t>(harness::size_class(result.elements));
  const double ratio = largest_ratio(result);
  for (const auto& q : result.quantities) {
    add_quantity(quantities[static_cast<size_t>(q.quantity)][size], q, result.line);
  }
  for (const auto& use : result.options) {
    OptionCount& option = options[use.value];
    ++option.cases[verdict];
    if (use.acted) ++option.acted[verdict];
  }
  times.generate += result.times.generate;
  times.reference += result.times.reference;
  times.contract += result.times.contract;
  times.subject += result.times.subject;
  times.compare += result.times.compare;
  CaseEntry entry{.line = result.line,
                  .suite = result.suite,
                  .subject = result.subject,
                  .reason = result.reason,
                  .verdict = result.verdict,
                  .first_broken = result.first_broken,
                  .first_broken_step = result.first_broken_step,
                  .ratio = ratio,
                  .elements = result.elements,
                  .steps = result.steps,
                  .seconds = result.times.total(),
                  .subject_seconds = result.times.subject,
                  .bits = result.bits};
  if (ratio >= 0 && worst.wants(entry)) worst.add(detail_of(result, entry, bundle));
  if (harness::is_red(result.verdict) && red.wants(entry)) red.add(detail_of(result, entry, bundle));
  if (!result.drift.empty()) drift.push_back({result.line, result.suite, result.subject, result.drift});
  list(std::move(entry));
}

void Summary::list(CaseEntry entry) {
  const bool red_one = harness::is_red(entry.verdict);
  if (cases.size() < kListed || (red_one && red_listed_beyond_ < kListed)) {
    red_listed_beyond_ += cases.size() >= kListed;
    cases.push_back(std::move(entry));
    return;
  }
  ++unlisted;
  unlisted_red += red_one;
}

void Summary::finish(const harness::RunSummary& summary) {
  outcome = summary;
  sort();
}

void Summary::sort() {
  const auto by_line = [](const auto& a, const auto& b) {
    return std::tie(a.suite, a.line, a.subject) < std::tie(b.suite, b.line, b.subject);
  };
  std::sort(cases.begin(), cases.end(), by_line);
  std::sort(drift.begin(), drift.end(), by_line);
}

bool Summary::green() const {
  const bool sections_green =
      std::all_of(sections.begin(), sections.end(), [](const harness::Section& section) { return section.green; });
  if (cases.empty() && !sections.empty()) return sections_green && outcome.errors.empty() && outcome.stopped.empty();
  return outcome.green() && sections_green;
}

const char* Summary::state() const {
  if (green()) return "green";
  const bool red_section =
      std::any_of(sections.begin(), sections.end(), [](const harness::Section& section) { return !section.green; });
  const bool red_one = red_cases() > 0 || red_section || !outcome.errors.empty();
  return !red_one && !outcome.stopped.empty() ? "truncated" : "red";
}

uint64_t Summary::red_cases() const {
  return unlisted_red + static_cast<uint64_t>(std::count_if(
                            cases.begin(), cases.end(), [](const CaseEntry& c) { return harness::is_red(c.verdict); }));
}

std::string Summary::headline() const {
  const auto red_sections = static_cast<uint64_t>(
      std::count_if(sections.begin(), sections.end(), [](const harness::Section& section) { return !section.green; }));
  if (cases.empty() && !outcome.stopped.empty())
    return fmt::format("truncated: {}; {}",
                       planned == 0 ? fmt::format("{} studies ended", sections.size())
                                    : fmt::format("0 of {} cases judged", format_count(planned)),
                       outcome.stopped);
  if (cases.empty()) {
    if (!outcome.errors.empty()) return "the run itself failed";
    if (sections.empty()) return "no case was run";
    return fmt::format("{} {}, {} red", sections.size(), sections.size() == 1 ? "study" : "studies",
                       red_sections == 0 ? "none" : format_count(red_sections));
  }
  std::string out = fmt::format("{} {}", format_count(all_cases()), all_cases() == 1 ? "case" : "cases");
  if (!outcome.stopped.empty()) {
    const uint64_t all = std::max(planned, all_cases());
    out = fmt::format("truncated: {} of {} cases judged", format_count(all - std::min(all, outcome.not_begun)),
                      format_count(all));
  }
  if (const uint64_t red_count = red_cases(); red_count == 0) {
    out += ", none red";
  } else {
    out += fmt::format(", {} red", format_count(red_count));
    const char* separator = ": ";
    for (const Verdict v : {Verdict::fail, Verdict::vacuous, Verdict::error}) {
      const uint64_t n = outcome.verdicts[static_cast<size_t>(v)];
      if (n == 0) continue;
      out += fmt::format("{}{} {}", separator, format_count(n), to_string(v));
      separator = ", ";
    }
  }
  if (red_sections != 0)
    out += fmt::format("; {} {} red", red_sections, red_sections == 1 ? "study is" : "studies are");
  if (!outcome.errors.empty()) out += "; the run itself failed";
  if (!outcome.stopped.empty())
    out += fmt::format("; {} not begun: {}", format_count(outcome.not_begun), outcome.stopped);
  return out;
}

}  // namespace plumbline::reports
