// One tensor's training judged against the reference in the dialect of its peer, whatever the order of the peer's
// arithmetic: local, from the parameter and state shown before each step, and global, free-running from the start.
#pragma once
#include <optional>

#include "harness/case.h"
#include "harness/steps.h"

namespace plumbline::harness {

using PeerAssumptions = Assumptions;  // what is assumed of the peer's arithmetic

// Verdicts as in any case; the caller knows the line that reproduces it. Throws InputError where what is shown
// contradicts itself or cannot be judged, and what the steps throw.
CaseResult judge_steps(Steps& steps, const PeerAssumptions& assumed = {}, const CaseOptions& options = {});

}  // namespace plumbline::harness
