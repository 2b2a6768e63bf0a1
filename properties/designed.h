// Problems of given classes: everything else is drawn, so that what the classes say acts.
#pragma once
#include "harness/registry.h"
#include "properties/draw.h"
#include "properties/factors.h"

namespace plumbline::properties {

// Of these classes (classify() gives them back), within `largest` >= 512 elements.
harness::Problem problem_of(const Classes& classes, Draw& draw, int64_t largest);

// Of a covering design's rows, planned so that a vacuous one is drawn again within its classes; case i depends on
// (strength, seed, i) alone.
std::vector<harness::PlannedCase> designed_cases(int strength, uint64_t seed, int64_t largest);
// Their first draws.
std::vector<harness::Problem> designed_problems(int strength, uint64_t seed, int64_t largest);

}  // namespace plumbline::properties
