#include "reports/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "harness/error.h"
#include "harness/registry.h"
#include "reports/section_json.h"

#include <nlohmann/json.hpp>

namespace plumbline::reports {
namespace {

using harness::InputError;
using harness::RunDescription;

// What shards of one run have in common.
void require_same_run(const NamedSummary& first, const NamedSummary& other) {
  const auto require = [&](const char* what, const auto& wanted, const auto& found) {
    if (wanted == found) return;
    throw InputError(fmt::format("{} and {} are not parts of one run: {} '{}' and '{}'", first.name, other.name, what,
                                 wanted, found));
  };
  const RunDescription &a = first.summary.run, &b = other.summary.run;
  require("commit", a.commit, b.commit);
  require("version", a.version, b.version);
  require("subject", a.subject, b.subject);
  require("suite", a.suite, b.suite);
  require("seed", a.seed, b.seed);
  require("number of shards", a.shards, b.shards);
  require("compiler", a.compiler, b.compiler);
  require("flags", a.flags, b.flags);
  require("checksum of the planned cases", fmt::format("{:016x}", a.suite_checksum),
          fmt::format("{:016x}", b.suite_checksum));
}

constexpr uint64_t kNamed = 8;  // missing shards that a message names

// "3, 4, 9 and 12 more": `numbers` are the first of `count`.
std::string list(const std::vector<int>& numbers, uint64_t count) {
  std::string out = fmt::format("{}", fmt::join(numbers, ", "));
  if (count > numbers.size()) out += fmt::format(" and {} more", count - numbers.size());
  return out;
}

// Throws for parts that do not belong beside each other; what is missing then, in a line, empty where all is there.
std::string missing_from(const std::vector<NamedSummary>& parts) {
  const int count = parts.front().summary.run.shards;
  std::map<int, const NamedSummary*> by_index;
  uint64_t cases = 0, planned = 0;
  for (const NamedSummary& part : parts) {
    require_same_run(parts.front(), part);
    const int index = part.summary.run.shard;
    if (index < 0 || index >= count)
      throw InputError(fmt::format("{}: shard {}/{}: expected one below {}", part.name, index, count, count));
    const auto [known, is_new] = by_index.emplace(index, &part);
    if (!is_new)
      throw InputError(
          fmt::format("shard {}/{} is given twice: {} and {}", index, count, known->second->name, part.name));
    cases += part.summary.all_cases();
    planned += part.summary.planned;
  }
  const uint64_t lost = uint64_t(count) - by_index.size(), of_suite = parts.front().summary.run.suite_cases;
  std::vector<int> missing;
  for (int i = 0; i < count && missing.size() < std::min<uint64_t>(lost, kNamed); ++i)
    if (!by_index.contains(i)) missing.push_back(i);
  if (lost > 0)
    return fmt::format("{} of {} shards {} missing: {}; {} of {} planned cases were judged", lost, count,
                       lost == 1 ? "is" : "are", list(missing, lost), cases, of_suite);
  if (planned != of_suite)
    throw InputError(fmt::format("the shards planned {} cases: expected the {} of the suite", planned, of_suite));
  return cases == of_suite ? "" : fmt::format("{} of {} planned cases were judged", cases, of_suite);
}

void add_quantity(QuantitySize& to, const QuantitySize& from) {
  if (from.empty()) return;
  const bool worse = to.empty() || from.worst.ratio > to.worst.ratio ||
                     (from.worst.ratio == to.worst.ratio && from.worst_line < to.worst_line);
  if (worse) {
    to.worst = from.worst;
    to.worst_line = from.worst_line;
  }
  to.bounded = to.bounded || from.bounded;
  to.ratios.merge(from.ratios);
  to.case_largest.merge(from.case_largest);
  to.cases += from.cases;
  to.outside += from.outside;
  to.unbounded += from.unbounded;
  to.out_of_range += from.out_of_range;
}

// Machines of an array job may differ: every name once, in the order of the shards.
void join(std::string& to, const std::string& from) {
  if (from.empty() || to == from) return;
  const std::string fenced = "; " + to + "; ";
  if (fenced.find("; " + from + "; ") == fenced.npos) to += to.empty() ? from : "; " + from;
}

// Of what every shard counted, the section that the whole run would have brought. Its place is taken in the first part;
// from the others it goes.
void join_censuses(std::vector<NamedSummary>& parts) {
  if (parts.size() < 2) return;
  for (harness::Section& section : parts.front().summary.sections) {
    if (section.part.empty()) continue;
    std::vector<std::string> counted = {section.part};
    for (size_t i = 1; i < parts.size(); ++i) {
      auto& sections = parts[i].summary.sections;
      const auto same = std::find_if(sections.begin(), sections.end(),
                                     [&](const auto& s) { return s.id == section.id && !s.part.empty(); });
      if (same == sections.end())
        throw InputError(fmt::format("{}: holds no part of section '{}', as {} does", parts[i].name, section.id,
                                     parts.front().name));
      counted.push_back(std::move(same->part));
      sections.erase(same);
    }
    const auto& known = harness::suite_censuses();
    const auto census = std::find_if(known.begin(), known.end(), [&](const auto& c) { return c.name == section.id; });
    if (census == known.end())
      throw InputError(
          fmt::format("{}: section '{}' is of no census that this program has", parts.front().name, section.id));
    section = census->join(counted);
  }
}

// Sections that shards have in common stand once; of those that differ, tables are continued and series added.
void add_section(std::vector<harness::Section>& to, const harness::Section& from) {
  const auto same = std::find_if(to.begin(), to.end(), [&](const harness::Section& s) { return s.id == from.id; });
  if (same == to.end()) {
    to.push_back(from);
    return;
  }
  if (dump_json(section_json(*same)) == dump_json(section_json(from))) return;
  same->green = same->green && from.green;
  for (const harness::Table& table : from.tables) {
    const auto known = std::find_if(same->tables.begin(), same->tables.end(), [&](const harness::Table& t) {
      return t.caption == table.caption && t.columns == table.columns;
    });
    if (known == same->tables.end())
      same->tables.push_back(table);
    else if (known->rows != table.rows)
      known->rows.insert(known->rows.end(), table.rows.begin(), table.rows.end());
  }
  for (const harness::Chart& chart : from.charts) {
    const auto known = std::find_if(same->charts.begin(), same->charts.end(),
                                    [&](const harness::Chart& c) { return c.id == chart.id; });
    if (known == same->charts.end())
      same->charts.push_back(chart);
    else if (dump_json(chart_json(*known)) != dump_json(chart_json(chart)))
      known->series.insert(known->series.end(), chart.series.begin(), chart.series.end());
  }
}

void add_part(Summary& to, Summary&& from) {
  to.planned += from.planned;
  to.run.date = std::min(to.run.date, from.run.date);
  join(to.run.cpu, from.run.cpu);
  join(to.run.os, from.run.os);
  join(to.run.gpu, from.run.gpu);
  join(to.run.gpu_driver, from.run.gpu_driver);
  join(to.run.cuda_toolkit, from.run.cuda_toolkit);
  join(to.run.gpu_architecture, from.run.gpu_architecture);
  to.run.cores = std::max(to.run.cores, from.run.cores);
  to.outcome.seconds = std::max(to.outcome.seconds, from.outcome.seconds);  // they ran side by side
  for (int v = 0; v < harness::kVerdicts; ++v) to.outcome.verdicts[size_t(v)] += from.outcome.verdicts[size_t(v)];
  const auto may_be_green = [](const harness::RunSummary& part) { return part.stopped.empty() || part.part_accepted; };
  const bool accepted = may_be_green(to.outcome) && may_be_green(from.outcome);
  if (to.outcome.stopped.empty()) to.outcome.stopped = from.outcome.stopped;
  to.outcome.not_begun += from.outcome.not_begun;
  to.outcome.part_accepted = accepted && !to.outcome.stopped.empty();
  to.outcome.redrawn += from.outcome.redrawn;
  for (std::string& error : from.outcome.errors)
    if (std::find(to.outcome.errors.begin(), to.outcome.errors.end(), error) == to.outcome.errors.end())
      to.outcome.errors.push_back(std::move(error));
  to.times.generate += from.times.generate;
  to.times.reference += from.times.reference;
  to.times.contract += from.times.contract;
  to.times.subject += from.times.subject;
  to.times.compare += from.times.compare;
  for (int q = 0; q < harness::kQuantities; ++q)
    for (int size = 0; size < harness::kSizeClasses; ++size)
      add_quantity(to.quantities[size_t(q)][size_t(size)], from.quantities[size_t(q)][size_t(size)]);
  for (const auto& [value, count] : from.options) {
    OptionCount& sum = to.options[value];
    for (size_t v = 0; v < size_t(harness::kVerdicts); ++v) {
      sum.cases[v] += count.cases[v];
      sum.acted[v] += count.acted[v];
    }
  }
  for (const CaseDetail& detail : from.worst.kept())
    if (to.worst.wants(detail.entry)) to.worst.add(detail);
  for (const CaseDetail& detail : from.red.kept())
    if (to.red.wants(detail.entry)) to.red.add(detail);
  to.drift.insert(to.drift.end(), std::make_move_iterator(from.drift.begin()),
                  std::make_move_iterator(from.drift.end()));
  for (CaseEntry& entry : from.cases) to.list(std::move(entry));
  to.unlisted += from.unlisted;
  to.unlisted_red += from.unlisted_red;
  for (const harness::Section& section : from.sections) add_section(to.sections, section);
}

}  // namespace

Summary merge_reports(std::vector<NamedSummary> parts) {
  if (parts.empty()) throw InputError("nothing to merge: expected reports");
  const auto is_study = [](const NamedSummary& part) { return part.summary.run.suite_cases == 0; };
  const auto first_study =
      std::stable_partition(parts.begin(), parts.end(), [&](const auto& part) { return !is_study(part); });
  std::vector<NamedSummary> studies(std::make_move_iterator(first_study), std::make_move_iterator(parts.end()));
  parts.erase(first_study, parts.end());

  Summary out;
  std::string first_name;
  if (!parts.empty()) {
    std::string missing = missing_from(parts);
    std::sort(parts.begin(), parts.end(),
              [](const NamedSummary& a, const NamedSummary& b) { return a.summary.run.shard < b.summary.run.shard; });
    join_censuses(parts);
    first_name = parts.front().name;
    out = std::move(parts.front().summary);
    for (size_t i = 1; i < parts.size(); ++i) add_part(out, std::move(parts[i].summary));
    out.run.shard = 0;
    out.run.shards = 1;
    if (!missing.empty()) {
      out.planned = out.run.suite_cases;
      out.outcome.errors.push_back(std::move(missing));
    }
  }
  std::set<std::string> known;
  for (const harness::Section& section : out.sections) known.insert(section.id);
  for (size_t i = 0; i < studies.size(); ++i) {
    Summary& study = studies[i].summary;
    if (first_name.empty()) {
      first_name = studies[i].name;
      out.run = study.run;
    } else if (study.run.commit != out.run.commit) {
      throw InputError(fmt::format("{} and {} do not belong together: commit '{}' and '{}'", first_name,
                                   studies[i].name, out.run.commit, study.run.commit));
    } else if (parts.empty()) {
      join(out.run.command, study.run.command);
      join(out.run.suite, study.run.suite);
      join(out.run.subject, study.run.subject);
    }
    for (const harness::Section& section : study.sections)
      if (!known.insert(section.id).second)
        throw InputError(fmt::format("{}: section '{}' is in another report too", studies[i].name, section.id));
    const double seconds = out.outcome.seconds + study.outcome.seconds;
    study.run.date = out.run.date;
    add_part(out, std::move(study));
    out.outcome.seconds = seconds;
  }
  out.sort();
  return out;
}

}  // namespace plumbline::reports
