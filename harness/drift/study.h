// The study behind `plumbline drift`: what storing a moving average in few bits does to it, and to a training, over
// many steps. Open loop: recorded gradients, every step judged and its drift split by the ledger. Closed loop:
// closed_loop.h.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/drift/closed_loop.h"
#include "harness/drift/metered.h"
#include "harness/result.h"
#include "harness/section.h"

namespace plumbline::harness {

// One tensor of the trace under one variant.
struct OpenLoopRun {
  std::string label, tensor;  // of the variant
  CaseResult result;          // with the drift of every step
  std::vector<SlotStaleness> staleness;
};

// Every tensor of the trace under every variant, on all cores; gradients are repeated from the first when the recording
// ends. `done` is called after every run, from one thread at a time.
std::vector<OpenLoopRun> run_open_loop(const std::string& trace, std::span<const Variant> variants,
                                       const Subject& subject, int64_t steps, const std::function<void()>& done = {});

// Drift per variant and slot (the worst tensor, named), its parts, staleness measured and predicted; curves over steps.
// Red where a case is.
Section describe_open_loop(const std::string& trace, int64_t steps, std::span<const OpenLoopRun> runs);
// Loss and parameters per variant; curves over steps. Red where the loss of a storage is (declared.h).
Section describe_closed_loop(const ClosedLoop& loop, int seeds);

}  // namespace plumbline::harness
