#include "properties/kill_matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "harness/case.h"
#include "harness/error.h"
#include "harness/linear/mutants.h"
#include "harness/registry.h"
#include "properties/default_tolerances.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::ActiveMutant;
using harness::AnyProblem;
using harness::CaseResult;
using harness::Subject;
using harness::Verdict;

class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Vacuous is red in a suite, too, but says nothing about the subject.
bool notices(const CaseResult& result) { return result.verdict == Verdict::fail || result.verdict == Verdict::error; }

// The quick suite as a list of checks. Each looks at a subject and tells what it noticed.
struct Check {
  std::string name;
  std::vector<AnyProblem> cases;  // of a case source; else of a property:
  const Property* property = nullptr;
  int property_cases = 0;
};

std::vector<Check> quick_suite(const std::string& subject, const std::string& family, uint64_t seed) {
  std::vector<Check> checks;
  for (const harness::CaseSource& source : harness::case_sources()) {
    // lives are the optimizer's, too
    if (source.family != family && !(family == "optimizer" && source.family == "life")) continue;
    Check check{source.name, {}};
    for (auto& planned : source.plan({harness::SuiteSize::quick, seed, subject}).all())
      check.cases.push_back(planned.problem);
    checks.push_back(std::move(check));
  }
  if (family == "optimizer") {
    const double share = subject == "emulator" ? 0.2 : 1;
    for (const Property& property : all_properties())
      checks.push_back({property.name, {}, &property, std::max(1, int(property.quick_cases * share))});
  }
  // recorded trainings are long: what nothing else noticed
  std::stable_partition(checks.begin(), checks.end(), [](const Check& c) { return c.name != "traces"; });
  return checks;
}

std::optional<Kill> run_check(const Check& check, const Subject& subject, uint64_t seed, int64_t& passed) {
  const Stopwatch watch;
  if (check.property != nullptr) {
    const PropertyResult result = check_property(*check.property, subject, seed, check.property_cases, false);
    passed += result.cases;
    if (result.outcome != PropertyResult::Outcome::failed) return std::nullopt;
    const std::string line = result.counterexample.substr(0, result.counterexample.find('\n'));
    return Kill{check.name, {}, result.cases + 1, watch.milliseconds(), line};
  }
  int64_t cases = 0;
  for (const AnyProblem& problem : check.cases) {
    const CaseResult result = harness::run_case(problem, subject, {check.name});
    ++cases;
    if (!notices(result)) continue;
    const std::string stage = result.first_broken ? to_string(*result.first_broken) : result.reason;
    return Kill{check.name, stage, cases, watch.milliseconds(), to_string(problem)};
  }
  passed += cases;
  return std::nullopt;
}

// Whether the sound subject passes what killed the mutant: else the kill says nothing.
bool passes_sound(const Check& check, const Kill& kill, const Subject& subject, uint64_t seed) {
  if (check.property != nullptr) {  // of the few cases up to the kill, none may have acted
    const auto outcome = check_property(*check.property, subject, seed, int(kill.cases), false).outcome;
    return outcome == PropertyResult::Outcome::held || outcome == PropertyResult::Outcome::gave_up;
  }
  return !is_red(harness::run_case(check.cases[size_t(kill.cases - 1)], subject, {check.name}).verdict);
}

void look_for_kills(MutantResult& result, const std::vector<Check>& checks, const Subject& mutant, const Subject& sound,
                    const Activate& activate, const MatrixOptions& o) {
  for (const Check& check : checks) {
    std::optional<Kill> kill;
    {
      const auto active = activate();
      kill = run_check(check, mutant, o.seed, result.cases);
    }
    if (!kill) continue;
    if (!passes_sound(check, *kill, sound, o.seed))
      throw harness::InputError(fmt::format("the sound subject fails {}: {}", check.name, kill->line));
    result.kills.push_back(std::move(*kill));
    if (!o.every_check) return;
  }
  if (result.killed()) return;
  // Nothing noticed it: does it change anything at all?
  result.changes_output = std::any_of(checks.begin(), checks.end(), [&](const Check& check) {
    return changes_bits(check.cases, sound, mutant, activate);
  });
}

bool wanted(const MatrixOptions& o, const std::string& id) {
  return o.ids.empty() || std::find(o.ids.begin(), o.ids.end(), id) != o.ids.end();
}

std::string linear_id(const harness::LinearMutant& mutant) { return "w8a8/" + mutant.name; }

void expect_known(const std::string& subject, const std::vector<std::string>& ids) {
  std::set<std::string> known;
  for (const auto& mutant : harness::optimizer_mutants()) known.insert(mutant.id);
  if (subject != "cuda")
    for (const auto& mutant : harness::linear_mutants(subject)) known.insert(linear_id(mutant));
  for (const std::string& id : ids)
    if (!known.contains(id))
      throw harness::InputError(fmt::format("mutant '{}': expected one of {}", id, fmt::join(known, ", ")));
}

}  // namespace

bool changes_bits(std::span<const AnyProblem> problems, const Subject& sound, const Subject& mutant,
                  const Activate& activate) {
  return std::any_of(problems.begin(), problems.end(), [&](const AnyProblem& problem) {
    const uint64_t bits = harness::run_case(problem, sound).bits;
    const auto active = activate();
    return harness::run_case(problem, mutant).bits != bits;
  });
}

std::vector<MutantResult> run_mutants(const std::string& subject_name, const MatrixOptions& o) {
  const auto subject = harness::make_subject(subject_name);
  expect_known(subject_name, o.ids);
  std::vector<MutantResult> results;
  const auto keep = [&](MutantResult result) {
    if (o.done) o.done(result);
    results.push_back(std::move(result));
  };
  const std::vector<Check> checks = quick_suite(subject_name, "optimizer", o.seed);
  for (const auto& mutant : harness::optimizer_mutants()) {
    if (!wanted(o, mutant.id) || !(subject_name == "host" ? mutant.in_twin : mutant.in_kernels)) continue;
    if (o.kernels_alone && mutant.in_twin) continue;
    MutantResult result{mutant.id, mutant.breaks, mutant.where, mutant.stage, subject_name, {}, true, 0,
                        {},        o.every_check};
    const auto activate = [&] { return std::make_unique<ActiveMutant>(mutant.id); };
    look_for_kills(result, checks, *subject, *subject, activate, o);
    {
      const auto active = activate();
      result.default_notices = default_tolerances_notice(*subject);
    }
    keep(std::move(result));
  }
  if (subject_name == "cuda" || o.kernels_alone)
    return results;  // the linear layer's faults are not in its kernels on a GPU
  const std::vector<Check> linear = quick_suite(subject_name, "w8a8", o.seed);
  for (const auto& mutant : harness::linear_mutants(subject_name)) {
    if (!wanted(o, linear_id(mutant))) continue;
    MutantResult result{linear_id(mutant), mutant.breaks, "linear/", {}, subject_name, {}, true, 0, {}, o.every_check};
    look_for_kills(
        result, linear, *mutant.subject, *subject, [] { return nullptr; }, o);
    keep(std::move(result));
  }
  return results;
}

std::string known_survivor(const std::string& id) {
  if (id == "strips_reversed")
    return "the same partial sums in another order: every value stays within its bound. The bits are no longer the "
           "host twin's, which the comparison of emulator and twin in the tests and that of GPU and twin in verify "
           "notice";
  if (id == "ring_unwaited")
    return "the few tensors of a session have places of their own in the ring of partial sums. The emulator's tests "
           "step more of them and notice";
  return {};
}

namespace {

bool reads_reference(const std::string& check) {
  for (const Property& property : all_properties())
    if (property.name == check) return property.reads_reference;
  return true;  // sources of cases
}

std::string joined(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

// What each check notices, and what it notices alone.
harness::Table describe_checks(const std::vector<MutantResult>& results) {
  struct Noticed {
    int64_t all = 0, first = 0;
    std::vector<std::string> alone, alone_without_reference;
  };
  std::map<std::string, Noticed> checks;
  for (const Property& property : all_properties()) checks[property.name];  // also where it notices nothing
  for (const MutantResult& r : results) {
    std::vector<std::string> without_reference;
    for (const Kill& kill : r.kills) {
      ++checks[kill.check].all;
      if (!reads_reference(kill.check)) without_reference.push_back(kill.check);
    }
    if (!r.killed()) continue;
    ++checks[r.kills.front().check].first;
    if (r.kills.size() == 1) checks[r.kills.front().check].alone.push_back(r.id);
    if (r.kills.size() > 1 && without_reference.size() == 1)
      checks[without_reference.front()].alone_without_reference.push_back(r.id);
  }
  harness::Table table{
      "What each check notices",
      {"check", "mutants", "noticed first", "noticed by it alone", "by it alone, if the reference had the same fault"},
      {}};
  for (const auto& [name, noticed] : checks)
    table.rows.push_back({name, noticed.all, noticed.first, joined(noticed.alone),
                          reads_reference(name) ? "reads the reference" : joined(noticed.alone_without_reference)});
  return table;
}

}  // namespace

harness::Section describe_mutants(const std::vector<MutantResult>& results) {
  harness::Section section;
  section.id = "mutants";
  section.title = "Mutants";
  harness::Table kills{"Kill matrix: the check that notices each deliberate fault first",
                       {"mutant", "breaks", "where", "subject", "killed by", "first stage", "expected stage", "cases",
                        "time (ms)", "default tolerances"},
                       {}};
  harness::Table lines{"Cases that kill", {"mutant", "case"}, {}};
  harness::Table survivors{"Survivors", {"mutant", "subject", "breaks", "passed cases", "why"}, {}};
  harness::Table checks{"Mutants per check", {"mutant", "subject", "checks that notice it"}, {}};
  int killed = 0, noticed = 0, unchanged = 0;
  for (const MutantResult& r : results) {
    killed += r.killed();
    noticed += !r.default_notices.empty();
    unchanged += !r.changes_output;
    const std::string by_default = r.id.starts_with("w8a8/") ? "" : r.default_notices.empty() ? "pass" : "fail";
    if (!r.killed()) {
      const std::string why = !r.changes_output ? "changes no output: an error of the suite" : known_survivor(r.id);
      section.green = section.green && r.changes_output && !known_survivor(r.id).empty();
      survivors.rows.push_back({r.id, r.subject, r.breaks, r.cases, why});
      continue;
    }
    const Kill& first = r.kills.front();
    kills.rows.push_back({r.id, r.breaks, r.where, r.subject, first.check, first.stage, r.expected_stage, first.cases,
                          first.milliseconds, by_default});
    lines.rows.push_back({r.id, first.line});
    if (r.kills.size() < 2) continue;
    std::vector<std::string> names;
    for (const Kill& kill : r.kills) names.push_back(fmt::format("{} ({})", kill.check, kill.cases));
    checks.rows.push_back({r.id, r.subject, fmt::format("{}", fmt::join(names, ", "))});
  }
  section.text = fmt::format(
      "{} of {} deliberate faults are noticed by the quick suite, each on a case that the sound subject passes; a "
      "comparison with another backend is not among its checks here. A test of one step with default tolerances (rtol "
      "1.3e-6, atol 1e-5 on float32) on fourteen ordinary problems notices {} of the optimizer's.",
      killed, results.size(), noticed);
  if (unchanged > 0) section.text += fmt::format(" {} change no output, which is an error of the suite.", unchanged);
  section.green = section.green && !results.empty();
  section.tables.push_back(std::move(kills));
  const bool complete =
      std::all_of(results.begin(), results.end(), [](const MutantResult& r) { return r.every_check; });
  if (complete && !results.empty()) section.tables.push_back(describe_checks(results));
  if (!survivors.rows.empty()) section.tables.push_back(std::move(survivors));
  if (!checks.rows.empty()) section.tables.push_back(std::move(checks));
  section.tables.push_back(std::move(lines));
  return section;
}

}  // namespace plumbline::properties
