// Generated problems over shapes, regimes, options, types and storages. Each is made so that what it is about acts:
// data, scales and options are drawn together, not one by one.
#pragma once
#include <cstdint>
#include <vector>

#include "harness/registry.h"

namespace plumbline::properties {

// `count` problems; problem i depends on (seed, i) alone. `largest` limits the elements of a tensor.
std::vector<harness::Problem> generate_problems(uint64_t seed, int count, int64_t largest);

// One of them as a suite plans it: drawn again where it turns out vacuous.
harness::PlannedCase generated_case(uint64_t seed, int index, int64_t largest);

}  // namespace plumbline::properties
