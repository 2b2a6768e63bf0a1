#include "harness/live/suite.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/live/case.h"
#include "harness/quoted.h"

namespace plumbline::harness::live {
namespace {

constexpr size_t kShrunk = 5;     // kinds of failures
constexpr size_t kShown = 10;     // items of a list on the first screen
constexpr int kProofsTried = 40;  // cases of one value

std::string some(const std::vector<std::string>& items) {
  const auto shown = std::vector(items.begin(), items.begin() + std::ptrdiff_t(std::min(items.size(), kShown)));
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     items.size() > kShown ? fmt::format(" and {} more", items.size() - kShown) : "");
}

}  // namespace

LiveSuite::LiveSuite(const LiveSubject& subject, size_t cases, uint64_t seed)
    : subject_(subject), plan_(subject, cases, seed) {
  for (size_t k = 0; k < plan_.problems().size(); ++k) index_.emplace(to_string(plan_.problems()[k]), k);
}

CasePlan LiveSuite::plan() const {
  return {plan_.problems().size(), [this](size_t k) { return PlannedCase{plan_.problems()[k], "live", false}; }};
}

void LiveSuite::on_case(const CaseResult& result) {
  const auto at = index_.find(result.line);
  if (at == index_.end()) return;
  if (result.verdict == Verdict::skipped) {
    ++skipped_[result.reason];
    return;
  }
  judged_.push_back(at->second);
  if (!is_red(result.verdict)) {
    passed_.push_back(at->second);
  } else if (red_.size() < kShrunk && std::none_of(red_.begin(), red_.end(), [&](const auto& other) {
               return same_failure(other.second, result);
             })) {
    red_.emplace_back(at->second, result);
  }
}

void LiveSuite::shrink_red(Section& section) const {
  Table table{"Smallest reproductions", {"stage", "elements", "steps", "line", "what happens", "first seen as"}, {}};
  for (const auto& [index, result] : red_) {
    const std::string stage = result.first_broken ? to_string(*result.first_broken) : to_string(result.verdict);
    const bool flaky = result.verdict == Verdict::fail && result.reason.starts_with("flaky");
    Shrunk small{plan_.problems()[index], result, 0};
    if (!flaky && result.verdict != Verdict::vacuous)
      small = shrink(
          small.problem, result, [&](const LiveProblem& p) { return run_live_case(p, subject_); },
          result.verdict == Verdict::error ? 60 : 400);
    const std::string line = to_string(small.problem);
    table.rows.push_back(
        {stage, small.problem.elements(), small.problem.steps, line, small.result.reason, result.line});
    screen_.push_back(fmt::format("{:<10} {}: {}", flaky ? "flaky" : "shrunk", stage, plain_text(small.result.reason)));
    screen_.push_back(
        fmt::format("           plumbline case {} --subject {}", shell_word(line), bare_shell_word(subject_.name())));
  }
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
}

// For each value beside an option's default: a passing case that a subject at the default would have failed.
std::vector<LiveSuite::OptionProof> LiveSuite::prove_options() const {
  std::vector<OptionProof> out;
  const size_t first = plan_.factors().size() - plan_.options().size();
  for (size_t k = 0; k < plan_.options().size(); ++k) {
    const OptionLevels& option = plan_.options()[k];
    for (size_t level = 0; level < option.values.size(); ++level) {
      if (option.values[level] == option.standard) continue;
      OptionProof proof{option.name, option.values[level], "", 0, false};
      int tried = 0;
      for (const size_t index : passed_) {
        if (plan_.row(index)[first + k] != int(level)) continue;
        ++proof.cases;
        if (!proof.line.empty() || tried++ >= kProofsTried) continue;
        const LiveProblem& p = plan_.problems()[index];
        auto without = nlohmann::json::parse(p.options);
        without[option.name] = nlohmann::json::parse(option.standard);
        try {
          proof.acts |= reference_run(p, without.dump()).steps.back().parameter !=
                        reference_run(p, p.options).steps.back().parameter;
        } catch (const std::invalid_argument&) {
          continue;  // not without this one
        }
        if (would_fail_with(p, without.dump(), subject_.capabilities())) proof.line = to_string(p);
      }
      out.push_back(std::move(proof));
    }
  }
  return out;
}

Section LiveSuite::describe(bool whole) const {
  screen_.clear();
  Section section;
  section.id = "live";
  section.title = "Live subject: coverage, options, what is left out";
  const int64_t covered = plan_.pairs_in(judged_);
  const std::string coverage =
      fmt::format("{} of {} pairs of values of {} options and {} other factors", covered, plan_.possible_pairs(),
                  plan_.options().size(), plan_.factors().size() - plan_.options().size());
  section.text = fmt::format(
      "Dialect {}. Judged cases hold {}. An option's value is proved by a case that passes and that a subject at the "
      "option's default would have failed.",
      subject_.capabilities().dialect, coverage);
  screen_.push_back(fmt::format("live       dialect {}; covered {}{}", subject_.capabilities().dialect, coverage,
                                whole ? "" : " (not all cases were to run)"));

  Table options{"Options", {"option", "value", "passing cases", "proof"}, {}};
  std::map<std::string, std::pair<bool, bool>> proved;  // of an option: at some value; acts at some value
  std::vector<std::string> unproved;
  for (const OptionProof& proof : prove_options()) {
    const bool done = !proof.line.empty();
    options.rows.push_back({proof.option, proof.value, proof.cases,
                            done         ? proof.line
                            : proof.acts ? "not proved: acts within the bounds"
                                         : "not proved: changes no number of the rule here"});
    auto& [any, acts] = proved[proof.option];
    any |= done;
    acts |= proof.acts;
    if (!done) unproved.push_back(fmt::format("{}={}", proof.option, proof.value));
  }
  std::vector<std::string> invisible;
  for (const auto& [option, state] : proved)
    if (!state.first && state.second && whole && !passed_.empty()) invisible.push_back(option);
  section.green = invisible.empty();
  const size_t values = options.rows.size();
  screen_.push_back(fmt::format("options    {} of {} values proved{}", values - unproved.size(), values,
                                unproved.empty() ? "" : "; not: " + some(unproved)));
  if (!invisible.empty())
    screen_.push_back(fmt::format("red        nothing of these options was ever visible: {}", some(invisible)));

  Table left_out{"Left out", {"what", "why"}, {}};
  std::vector<std::string> names;
  for (const LeftOut& item : plan_.left_out()) {
    left_out.rows.push_back({item.what, item.why});
    names.push_back(item.what);
  }
  for (const auto& [reason, count] : skipped_) {
    left_out.rows.push_back({fmt::format("{} cases", count), reason});
    names.push_back(fmt::format("{} cases ({})", count, reason));
  }
  for (const std::string& name : subject_.unjudged_state()) {
    left_out.rows.push_back({"state " + name, "the dialect has no such slot, or its type is no float: not judged"});
    names.push_back("state " + name);
  }
  screen_.push_back(fmt::format("left out   {}", names.empty() ? "nothing" : some(names)));

  if (!options.rows.empty()) section.tables.push_back(std::move(options));
  if (!left_out.rows.empty()) section.tables.push_back(std::move(left_out));
  shrink_red(section);
  return section;
}

}  // namespace plumbline::harness::live
