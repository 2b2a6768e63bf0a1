#include "reports/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
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

// Values of one thing in the runs before and after, as factors of time: the larger the slower.
struct Repeats {
  std::vector<double> before, after;
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

bool enough(const Repeats& r) { return r.before.size() >= kSpeedRuns && r.after.size() >= kSpeedRuns; }

// Fastest after over slowest before.
double least_slowdown(const Repeats& r) {
  return *std::min_element(r.after.begin(), r.after.end()) / *std::max_element(r.before.begin(), r.before.end());
}

double time_of(const CaseEntry& c) { return c.subject_seconds > 0 ? c.subject_seconds : c.seconds; }

void compare_speed(const Pool& before, const Pool& after, Comparison& out) {
  // Times by case, one a run; only cases that all runs judged count.
  const size_t runs = before.runs.size() + after.runs.size();
  std::map<CaseKey, std::vector<double>> times;
  size_t number = 0;
  for (const Pool* pool : {&before, &after}) {
    for (const Summary& run : pool->runs) {
      for (const CaseEntry& c : run.cases) {
        std::vector<double>& row = times[{c.suite, c.line}];
        if (row.size() == number && judged(c.verdict) && time_of(c) > 0) row.push_back(time_of(c));
      }
      ++number;
    }
  }
  std::map<std::string_view, std::vector<const std::vector<double>*>> suites;
  for (const auto& [key, row] : times)
    if (row.size() == runs) suites[key.first].push_back(&row);
  for (const auto& [suite, rows] : suites) {
    Repeats repeats;
    std::vector<double> seconds(runs);
    for (size_t run = 0; run < runs; ++run) {
      std::vector<double> factors;
      factors.reserve(rows.size());
      for (const auto* row : rows) {
        factors.push_back((*row)[run] / *std::min_element(row->begin(), row->begin() + long(before.runs.size())));
        seconds[run] += (*row)[run];
      }
      (run < before.runs.size() ? repeats.before : repeats.after).push_back(middle(std::move(factors)));
    }
    SpeedChange change;
    change.suite = suite;
    change.cases = rows.size();
    const auto split = seconds.begin() + long(before.runs.size());
    change.seconds_before = middle({seconds.begin(), split});
    change.seconds_after = middle({split, seconds.end()});
    change.ratio = middle(repeats.after) / middle(repeats.before);
    change.low = least_slowdown(repeats);
    change.high = *std::max_element(repeats.after.begin(), repeats.after.end()) /
                  *std::min_element(repeats.before.begin(), repeats.before.end());
    change.judged = !out.options.ignore_speed && enough(repeats);
    change.regressed = change.judged && change.low > out.options.slower;
    out.speed.push_back(std::move(change));
  }
}

// What was judged and is not any more, where both planned the same cases; and suites that judge fewer in any way.
void compare_judged(const Pool& before, const Pool& after, const IndexedCases& cases_before,
                    const IndexedCases& cases_after, Comparison& out) {
  const auto plans = [](const Pool& pool) {
    std::set<std::tuple<std::string, uint64_t, uint64_t>> all;
    for (const Summary& run : pool.runs) all.emplace(run.run.suite, run.run.seed, run.run.suite_checksum);
    return all;
  };
  if (plans(before) == plans(after)) {
    for (const auto& [key, a] : cases_before.all) {
      if (!judged(a.verdict) || cases_after.all.contains(key)) continue;
      out.not_judged.push_back({a.suite, a.line, a.verdict, Verdict::skipped, "not among the cases of the later run"});
    }
  }
  const auto counts = [](const Pool& pool) {
    std::map<std::string, double> mean;
    for (const Summary& run : pool.runs) {
      const auto& v = run.outcome.verdicts;
      mean[""] += double(v[size_t(Verdict::pass)] + v[size_t(Verdict::marginal)] + v[size_t(Verdict::fail)]);
      if (run.unlisted > 0) continue;  // the list does not tell the suites of the others
      for (const CaseEntry& c : run.cases) mean[c.suite] += judged(c.verdict);
    }
    for (auto& [suite, count] : mean) count /= double(pool.runs.size());
    return mean;
  };
  const auto was = counts(before);
  auto is = counts(after);
  const bool lists =
      std::none_of(after.runs.begin(), after.runs.end(), [](const Summary& s) { return s.unlisted > 0; });
  for (const auto& [suite, count] : was)
    if (is[suite] < count && (suite.empty() || lists))
      out.judges_fewer.push_back({suite.empty() ? "all" : suite, count, is[suite]});
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

struct Measure {
  std::string where, what;
  Repeats slowness;  // times, and reciprocals of rates
  std::vector<double> before, after;
  int sense = 0;
};

void collect_measures(const harness::Section& section, bool after, std::map<std::string, Measure>& out) {
  for (const harness::Table& table : section.tables) {
    std::map<std::string, int> named;
    for (const auto& row : table.rows) ++named[row_name(row)];
    for (const auto& row : table.rows) {
      const std::string name = row_name(row);
      if (named[name] > 1) continue;  // which of them is which?
      for (size_t i = 0; i < std::min(row.size(), table.columns.size()); ++i) {
        const int sense = direction(table.columns[i]);
        const double value = as_number(row[i]);
        if (sense == 0 || !(value > 0) || !std::isfinite(value)) continue;
        std::string columns;
        for (const std::string& column : table.columns) columns += column + "\n";
        Measure& m = out[fmt::format("{}\n{}\n{}\n{}\n{}", section.id, table.caption, columns, name, i)];
        m.where = fmt::format("{}: {}", section.title, table.caption);
        m.what = fmt::format("{}, {}", name, table.columns[i]);
        m.sense = sense;
        (after ? m.after : m.before).push_back(value);
        (after ? m.slowness.after : m.slowness.before).push_back(sense > 0 ? value : 1 / value);
      }
    }
  }
}

void compare_sections(const Pool& before, const Pool& after, Comparison& out) {
  std::map<std::string, const harness::Section*> was, is;
  std::map<std::string, Measure> measures;
  for (const Summary& run : before.runs)
    for (const auto& section : run.sections) {
      was[section.id] = &section;
      collect_measures(section, false, measures);
    }
  for (const Summary& run : after.runs)
    for (const auto& section : run.sections) {
      is[section.id] = &section;
      collect_measures(section, true, measures);
    }
  for (auto& [key, m] : measures) {
    if (m.before.empty() || m.after.empty()) continue;
    MeasureChange change{m.where, m.what, middle(m.before), middle(m.after), least_slowdown(m.slowness), false, false};
    change.judged = !out.options.ignore_speed && enough(m.slowness);
    change.regressed = change.judged && change.low > out.options.slower;
    out.measures.push_back(std::move(change));
  }
  for (const auto& [id, section] : was) {
    const auto now = is.find(id);
    if (now == is.end()) {
      out.lost_sections.push_back(section->title);
      continue;
    }
    if (section->green && !now->second->green) out.red_sections.push_back(now->second->title);
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
  const bool judges_less = !not_judged.empty() || !judges_fewer.empty() || !lost_sections.empty();
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
  compare_judged(before, after, cases_before, cases_after, out);
  compare_speed(before, after, out);
  compare_sections(before, after, out);
  const bool sections =
      std::any_of(after.runs.begin(), after.runs.end(), [](const Summary& run) { return !run.sections.empty(); });
  if (out.common == 0 && out.headroom.empty() && out.not_judged.empty() &&
      (!sections || out.before.suite != out.after.suite))
    throw harness::InputError(
        fmt::format("{} and {} have nothing in common: expected two runs of one suite", before.name, after.name));
  return out;
}

}  // namespace plumbline::reports
