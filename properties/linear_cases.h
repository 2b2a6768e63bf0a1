// Generated problems of the W8A8 linear layer: extents at and beside what kernels like, types, sources of the weight,
// data. What a problem is about acts: they are drawn together.
#pragma once
#include <cstdint>
#include <vector>

#include "harness/linear/problem.h"

namespace plumbline::properties {

// `count` problems; problem i depends on (seed, i) alone. `largest` limits tokens x inputs x outputs.
std::vector<harness::LinearProblem> generate_linear_problems(uint64_t seed, int count, int64_t largest);

}  // namespace plumbline::properties
