#include "harness/judge_traces.h"

#include "harness/conformance.h"
#include "harness/peer.h"

namespace plumbline::harness {
namespace {

constexpr size_t kDriftShown = 50;  // more tensors than that, and their drift is left out of the report

}  // namespace

std::vector<PlannedCase> plan_recorded(const std::vector<std::string>& paths, std::optional<DType> arithmetic,
                                       bool flushed) {
  std::vector<PlannedCase> cases;
  for (const auto& path : trace_files(paths)) {
    const auto trace = Trace::shared(path);
    const std::string peer(dialect_of(trace->peer(), trace->file(), trace->release(), trace->defects()).name);
    for (const Trace::TensorInfo& tensor : trace->tensors())
      cases.push_back({RecordedRun{path.string(), tensor.name, arithmetic, flushed}, peer, false});
  }
  if (cases.size() <= kDriftShown)
    for (PlannedCase& planned : cases) planned.record_drift = true;
  return cases;
}

}  // namespace plumbline::harness
