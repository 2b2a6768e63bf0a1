#include "harness/family.h"

namespace plumbline::harness {
namespace {

const char* name_of(const Problem&) { return "optimizer"; }
const char* name_of(const RecordedRun&) { return "recorded"; }
const char* name_of(const LinearProblem&) { return "w8a8"; }
const char* name_of(const LiveProblem&) { return "live"; }
const char* name_of(const Life&) { return "life"; }

}  // namespace

const char* family_of(const AnyProblem& problem) {
  return std::visit([](const auto& p) { return name_of(p); }, problem);
}

const std::vector<std::string>& family_names() {
  static const std::vector<std::string> names = {name_of(Problem{}), name_of(RecordedRun{}), name_of(LinearProblem{}),
                                                 name_of(LiveProblem{}), name_of(Life{})};
  return names;
}

std::string to_string(const AnyProblem& problem) {
  return std::visit([](const auto& p) { return to_string(p); }, problem);
}

AnyProblem parse_any_problem(std::string_view line) {
  if (line.starts_with("recorded ")) return parse_recorded_run(line);
  if (line.starts_with("life ")) return parse_life(line);
  if (line.starts_with("w8a8 ")) return parse_linear_problem(line);
  if (line.starts_with("live ")) return parse_live_problem(line);
  return parse_problem(line);
}

void validate(const AnyProblem& problem) {
  std::visit([](const auto& p) { validate(p); }, problem);
}

CaseResult run_case(const AnyProblem& problem, const Subject& subject, const CaseOptions& options) {
  return std::visit([&](const auto& p) { return run_case(p, subject, options); }, problem);
}

}  // namespace plumbline::harness
