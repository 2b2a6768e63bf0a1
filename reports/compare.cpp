#include "reports/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "harness/error.h"
#include "reports/read.h"
#include "reports/statistics.h"

namespace plumbline::reports {
namespace {

namespace fs = std::filesystem;
using harness::Verdict;

// An effect below this is not worth an alarm, however many cases prove it [Vargha & Delaney 2000: 0.56 is small].
constexpr double kSmallEffect = 0.56;

using CaseKey = std::pair<std::string_view, std::string_view>;  // suite, line

struct IndexedCases {
  std::map<CaseKey, CaseEntry> all;
  std::set<CaseKey> unsteady;  // whose repetitions left different bits
};

// Repetitions of a case: the worst verdict, the shortest times.
IndexedCases index_cases(const Pool& pool) {
  IndexedCases out;
  for (const Summary& run : pool.runs) {
    for (const CaseEntry& c : run.cases) {
      const auto [at, fresh] = out.all.try_emplace({c.suite, c.line}, c);
      if (fresh) continue;
      CaseEntry& known = at->second;
      if (harness::is_red(c.verdict) && !harness::is_red(known.verdict)) {
        known.verdict = c.verdict;
        known.reason = c.reason;
      }
      known.seconds = std::min(known.seconds, c.seconds);
      known.subject_seconds = std::min(known.subject_seconds, c.subject_seconds);
      if (c.bits != 0 && known.bits != 0 && c.bits != known.bits) out.unsteady.insert(at->first);
      if (known.bits == 0) known.bits = c.bits;
    }
  }
  return out;
}

CaseChange change_of(const CaseEntry& before, const CaseEntry& after) {
  return {after.suite, after.line, before.verdict, after.verdict, after.reason};
}

bool judged(Verdict v) { return v == Verdict::pass || v == Verdict::marginal || v == Verdict::fail; }

void compare_cases(const IndexedCases& before, const IndexedCases& after, Comparison& out) {
  bool unsteady = false;  // one commit on one device gave two answers, whatever was before
  for (const auto& [key, b] : after.all) {
    const auto at = before.all.find(key);
    if (after.unsteady.contains(key)) {
      unsteady = true;
      out.changed_bits.push_back(change_of(at == before.all.end() ? b : at->second, b));
    }
    if (at == before.all.end()) {
      ++out.only_after;
      out.new_red_only_after += harness::is_red(b.verdict);
      if (harness::is_red(b.verdict)) out.new_red.push_back({b.suite, b.line, b.verdict, b.verdict, b.reason});
      continue;
    }
    const CaseEntry& a = at->second;
    ++out.common;
    const bool was = harness::is_red(a.verdict), is = harness::is_red(b.verdict);
    if (is && !was) out.new_red.push_back(change_of(a, b));
    if (was && !is) out.no_longer_red.push_back(change_of(a, b));
    if (judged(a.verdict) && b.verdict == Verdict::skipped) out.not_judged.push_back(change_of(a, b));
    if (a.bits == 0 || b.bits == 0) continue;
    out.bits_known = true;
    ++out.bits_compared;
    if (before.unsteady.contains(key) || after.unsteady.contains(key)) continue;  // two answers: none to compare with
    if (a.bits != b.bits) out.changed_bits.push_back(change_of(a, b));
  }
  out.only_before = before.all.size() - out.common;
  const bool same_commit = out.before.commit == out.after.commit && out.before.version == out.after.version;
  const bool wanted = out.options.same_bits || same_commit;
  out.bits_regressed = unsteady || (!out.changed_bits.empty() && wanted) || (out.options.same_bits && !out.bits_known);
}

void compare_speed(const std::map<CaseKey, CaseEntry>& before, const std::map<CaseKey, CaseEntry>& after,
                   Comparison& out) {
  struct Times {
    std::vector<double> ratios;
    double before = 0, after = 0;
  };
  std::map<std::string, Times> suites;
  for (const auto& [key, b] : after) {
    const auto at = before.find(key);
    if (at == before.end() || !judged(at->second.verdict) || !judged(b.verdict)) continue;
    const CaseEntry& a = at->second;
    const bool subject = a.subject_seconds > 0 && b.subject_seconds > 0;
    const double was = subject ? a.subject_seconds : a.seconds, is = subject ? b.subject_seconds : b.seconds;
    if (!(was > 0) || !(is > 0)) continue;
    Times& times = suites[b.suite];
    times.ratios.push_back(is / was);
    times.before += was;
    times.after += is;
  }
  for (auto& [suite, times] : suites) {
    SpeedChange change{suite, times.ratios.size(), times.before, times.after, 1, 1, 1, false};
    const Interval median = median_interval(std::move(times.ratios), out.options.level / double(suites.size()));
    change.ratio = median.value;
    change.low = median.low;
    change.high = median.high;
    change.regressed = !out.options.ignore_speed && median.low > out.options.slower;
    out.speed.push_back(change);
  }
}

void compare_headroom(const Pool& before, const Pool& after, Comparison& out) {
  const auto pooled = [](const Pool& pool, int quantity, int size) {
    harness::RatioHistogram all;
    for (const Summary& run : pool.runs) all.merge(run.quantities[size_t(quantity)][size_t(size)].case_largest);
    return all;
  };
  std::vector<double> p;
  for (int q = 0; q < harness::kQuantities; ++q) {
    for (int size = 0; size < harness::kSizeClasses; ++size) {
      const auto a = pooled(before, q, size), b = pooled(after, q, size);
      if (a.total() == 0 || b.total() == 0) continue;
      const RankSum test = rank_sum(a.count, b.count);
      p.push_back(test.p);
      out.headroom.push_back({static_cast<harness::Quantity>(q), static_cast<harness::SizeClass>(size), a.total(),
                              b.total(), std::min(a.quantile(0.5), a.largest), std::min(b.quantile(0.5), b.largest),
                              a.largest, b.largest, test.superiority, 1, false, false});
    }
  }
  const std::vector<double> adjusted = holm(p);
  for (size_t i = 0; i < out.headroom.size(); ++i) {
    HeadroomChange& change = out.headroom[i];
    change.p = adjusted[i];
    change.significant = change.p <= out.options.level;
    change.regressed = change.significant && change.nearer >= kSmallEffect;
  }
}

// +1: the larger the slower, -1: the larger the faster, 0: neither a time nor a rate.
int direction(std::string_view column) {
  for (const std::string_view rate : {"/s)", "per second", "/s]"})
    if (column.find(rate) != column.npos) return -1;
  for (const std::string_view time : {"(s)", "(ms)", "(us)", "(\u00b5s)", "(ns)"})
    if (column.find(time) != column.npos) return 1;
  return 0;
}

double as_number(const harness::Cell& cell) {
  if (const auto* count = std::get_if<int64_t>(&cell)) return double(*count);
  if (const auto* value = std::get_if<double>(&cell)) return *value;
  return std::nan("");
}

std::string row_name(const std::vector<harness::Cell>& row) {
  std::string out;
  for (const harness::Cell& cell : row)
    if (const auto* text = std::get_if<std::string>(&cell)) out += (out.empty() ? "" : ", ") + *text;
  return out;
}

void compare_tables(const harness::Section& a, const harness::Section& b, Comparison& out) {
  for (const harness::Table& now : b.tables) {
    const auto was = std::find_if(a.tables.begin(), a.tables.end(), [&](const harness::Table& t) {
      return t.caption == now.caption && t.columns == now.columns;
    });
    if (was == a.tables.end()) continue;
    std::map<std::string, const std::vector<harness::Cell>*> rows;
    std::set<std::string> ambiguous;
    for (const auto& row : was->rows)
      if (!rows.emplace(row_name(row), &row).second) ambiguous.insert(row_name(row));
    for (const auto& row : now.rows) {
      const std::string name = row_name(row);
      const auto old = rows.find(name);
      if (old == rows.end() || ambiguous.contains(name)) continue;
      for (size_t i = 0; i < std::min({row.size(), old->second->size(), now.columns.size()}); ++i) {
        const int sense = direction(now.columns[i]);
        const double before = as_number((*old->second)[i]), after = as_number(row[i]);
        if (sense == 0 || !(before > 0) || !(after > 0)) continue;
        const double slower = sense > 0 ? after / before : before / after;
        out.measures.push_back({fmt::format("{}: {}", b.title, now.caption),
                                fmt::format("{}, {}", name, now.columns[i]), before, after,
                                !out.options.ignore_speed && slower > out.options.slower});
      }
    }
  }
}

void compare_sections(const Pool& before, const Pool& after, Comparison& out) {
  std::map<std::string, const harness::Section*> was, is;
  for (const Summary& run : before.runs)
    for (const auto& section : run.sections) was[section.id] = &section;
  for (const Summary& run : after.runs)
    for (const auto& section : run.sections) is[section.id] = &section;
  for (const auto& [id, section] : was) {
    const auto now = is.find(id);
    if (now == is.end()) {
      out.lost_sections.push_back(section->title);
      continue;
    }
    if (section->green && !now->second->green) out.red_sections.push_back(now->second->title);
    compare_tables(*section, *now->second, out);
  }
  for (const auto& [id, section] : is)
    if (!was.contains(id) && !section->green) out.red_sections.push_back(section->title);
}

}  // namespace

Pool read_pool(const fs::path& path) {
  Pool pool{path.string(), {}};
  std::error_code error;
  if (!fs::is_directory(path, error) || fs::exists(path / "report.json", error)) {
    pool.runs.push_back(read_report(path));
    return pool;
  }
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(path, error))
    if (fs::exists(entry.path() / "report.json")) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  if (folders.empty())
    throw harness::InputError(
        fmt::format("{}: holds no report.json: expected a report's folder, or a folder of several", path.string()));
  for (const fs::path& folder : folders) {
    pool.runs.push_back(read_report(folder));
    const auto &first = pool.runs.front().run, &run = pool.runs.back().run;
    if (first.commit != run.commit || first.subject != run.subject || first.gpu != run.gpu)
      throw harness::InputError(
          fmt::format("{}: differs from {} in commit, subject or GPU: expected runs that differ in their seeds",
                      folder.string(), folders.front().string()));
  }
  return pool;
}

bool Comparison::regressed() const {
  const auto any = [](const auto& changes) {
    return std::any_of(changes.begin(), changes.end(), [](const auto& change) { return change.regressed; });
  };
  const bool judges_less = !not_judged.empty() || !lost_sections.empty();
  return !new_red.empty() || !red_sections.empty() || judges_less || any(headroom) || any(speed) || any(measures) ||
         bits_regressed;
}

Comparison compare(const Pool& before, const Pool& after, const CompareOptions& options) {
  Comparison out;
  out.name_before = before.name;
  out.name_after = after.name;
  out.before = before.runs.front().run;
  out.after = after.runs.front().run;
  out.options = options;
  for (const Summary& run : before.runs) out.seeds_before.push_back(run.run.seed);
  for (const Summary& run : after.runs) out.seeds_after.push_back(run.run.seed);
  const auto cases_before = index_cases(before), cases_after = index_cases(after);
  compare_cases(cases_before, cases_after, out);
  compare_headroom(before, after, out);
  compare_speed(cases_before.all, cases_after.all, out);
  compare_sections(before, after, out);
  const bool sections =
      std::any_of(after.runs.begin(), after.runs.end(), [](const Summary& run) { return !run.sections.empty(); });
  if (out.common == 0 && out.headroom.empty() && (!sections || out.before.suite != out.after.suite))
    throw harness::InputError(
        fmt::format("{} and {} have nothing in common: expected two runs of one suite", before.name, after.name));
  return out;
}

}  // namespace plumbline::reports
