// Families of cases. Each has its own problem, subject's interface and judge; runner, reports and commands take a case
// of any of them.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "harness/case.h"
#include "harness/linear/case.h"
#include "harness/live/problem.h"
#include "harness/lives/case.h"
#include "harness/problem.h"
#include "harness/recorded.h"

namespace plumbline::harness {

using AnyProblem = std::variant<Problem, RecordedRun, LinearProblem, LiveProblem, Life>;

// "optimizer", "recorded", "w8a8", "live", "life"
const char* family_of(const AnyProblem& problem);
const std::vector<std::string>& family_names();

// The line of a family other than the optimizers' begins with the family's name.
std::string to_string(const AnyProblem& problem);
AnyProblem parse_any_problem(std::string_view line);  // throws InputError as parse_problem does
void validate(const AnyProblem& problem);
CaseResult run_case(const AnyProblem& problem, const Subject& subject, const CaseOptions& options = {});

}  // namespace plumbline::harness
