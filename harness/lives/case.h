// One life from its line to a verdict: every tensor is judged after every step within its own bounds, and after every
// operation by what that may change.
#pragma once
#include "harness/case.h"
#include "harness/lives/life.h"

namespace plumbline::harness {

// Verdicts as in any case; skipped where the subject does not offer an operation. Throws InputError for a life that
// cannot be. With a twin, both live it and have to show the same words.
CaseResult run_case(const Life& life, const Subject& subject, const CaseOptions& options = {});

}  // namespace plumbline::harness
