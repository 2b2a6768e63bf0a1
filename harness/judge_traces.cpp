#include "harness/judge_traces.h"

#include <fmt/format.h>

#include "harness/conformance.h"
#include "harness/error.h"
#include "harness/peer.h"
#include "harness/recorded_steps.h"

namespace plumbline::harness {
namespace {

constexpr size_t kDriftShown = 50;  // more tensors than that, and their drift is left out of the report

}  // namespace

std::vector<PlannedCase> plan_recorded(const std::vector<std::string>& paths, std::optional<DType> arithmetic,
                                       bool flushed) {
  std::vector<PlannedCase> cases;
  for (const auto& path : trace_files(paths)) {
    try {
      const auto trace = Trace::shared(path);
      const std::string peer(dialect_of(trace->peer(), trace->file(), trace->release(), trace->defects()).name);
      for (const Trace::TensorInfo& tensor : trace->tensors())
        cases.push_back({RecordedRun{path.string(), tensor.name, arithmetic, flushed}, peer, false});
    } catch (const InputError&) {  // asked again, it says what is wrong
      cases.push_back({RecordedRun{path.string(), "", arithmetic, flushed}, "unreadable", false});
    }
  }
  if (cases.size() <= kDriftShown)
    for (PlannedCase& planned : cases) planned.record_drift = true;
  return cases;
}

void refuse_unless_one_can_be_judged(const std::vector<PlannedCase>& cases) {
  std::string first;
  for (const PlannedCase& planned : cases) try {
      const auto& run = std::get<RecordedRun>(planned.problem);
      const auto trace = Trace::shared(run.trace);
      dialect_of(trace->peer(), trace->file(), trace->release(), trace->defects());
      RecordedSteps steps(*trace, run.tensor);
      check_steps(steps);
      return;
    } catch (const InputError& e) {
      if (first.empty()) first = e.what();
    }
  if (cases.size() > 1) first += fmt::format(" (and {} more that cannot be judged)", cases.size() - 1);
  throw InputError(first);
}

}  // namespace plumbline::harness
