// Judging what a live subject did, and asking what a case would have shown.
#pragma once
#include <string>

#include "harness/case.h"
#include "harness/live/subject.h"

namespace plumbline::harness::live {

// The verdict over a run, as over a recording of it: local, from the parameter and state of the step before, and
// global, free-running from the start.
CaseResult judge_run(const LiveProblem& problem, const LiveRun& run, const Capabilities& capabilities,
                     const CaseOptions& options = {});

// One case with everything that belongs to it: promises, repetition of what is red. A fault stands between subject and
// judge.
CaseResult run_live_case(const LiveProblem& problem, const LiveSubject& subject, const LiveFault& fault = {},
                         const CaseOptions& options = {});

// The run that the reference itself makes of the problem under these options (JSON), its results rounded to the types
// in which they are stored: a subject without errors of its own.
LiveRun reference_run(const LiveProblem& problem, const std::string& options);

// Would a subject that takes other options in place of the problem's have failed? Then the case proves them.
bool would_fail_with(const LiveProblem& problem, const std::string& options, const Capabilities& capabilities);

}  // namespace plumbline::harness::live
