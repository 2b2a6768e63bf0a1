// One case of the linear layer, from a problem to a verdict: what the subject shows is judged in the order of the
// computation, each stage from the subject's own values of the stage before.
#pragma once
#include "harness/case.h"
#include "harness/linear/problem.h"

namespace plumbline::harness {

// Never throws for what a subject does (that is Verdict::error); throws InputError for a problem that cannot be
// realized. A subject without a linear layer gives Verdict::skipped.
CaseResult run_case(const LinearProblem& problem, const Subject& subject, const CaseOptions& options = {});

}  // namespace plumbline::harness
