// The price of not knowing: faults between a stranger's subject and its judge, and which of them his own suite notices.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/live/plan.h"
#include "harness/section.h"

namespace plumbline::harness::live {

struct LiveKill {
  std::string fault;
  bool killed = false, changes = false;  // changes: other bits in some case
  std::string stage, line;               // of the case that noticed it
  int64_t cases = 0;                     // to which it was put, that one included
  bool allclose = false;  // a comparison of parameters by a framework's default tolerances notices it there
};

// Option faults (a value off by 1e-4, ten times it, the default in its place), a skipped step, state of the step
// before, parameters and each slot of state times 1 + k 2^-23. Each against the cases of the plan that the subject
// passes, until one is red; `done` hears of each fault.
std::vector<LiveKill> run_live_mutants(const LiveSubject& subject, const LivePlan& plan,
                                       const std::function<void(const LiveKill&)>& done);
// Red where a fault in an option, a skipped step or stale state changes numbers and survives.
Section describe_live_mutants(const std::vector<LiveKill>& kills);

}  // namespace plumbline::harness::live
