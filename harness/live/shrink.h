// The smallest problem that still goes wrong in the same way.
#pragma once
#include <functional>

#include "harness/live/problem.h"

namespace plumbline::harness::live {

struct Shrunk {
  LiveProblem problem;
  CaseResult result;
  int runs = 0;  // that it took
};

// Fewer steps, smaller shapes (data of a smaller tensor are a part of the larger one's), options at their defaults,
// plainer types and data; whatever `run` still finds broken in the same stage is kept. At most `most` runs.
Shrunk shrink(const LiveProblem& problem, const CaseResult& red,
              const std::function<CaseResult(const LiveProblem&)>& run, int most = 400);

// "Goes wrong in the same way": the verdict, the stage, and of an error its reason but for numbers.
bool same_failure(const CaseResult& a, const CaseResult& b);

}  // namespace plumbline::harness::live
