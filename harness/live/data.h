// Inputs of live problems. Every element is a function of (seed, step, its place), so that a smaller tensor holds a
// part of a larger one's values and one rare element survives shrinking.
#pragma once
#include <cstddef>
#include <vector>

#include "harness/live/problem.h"
#include "reference/tensor.h"

namespace plumbline::harness::live {

struct LiveInput {
  std::vector<std::byte> bytes;  // in the type's storage
  reference::Tensor values;      // the same numbers
};
LiveInput initial_parameter(const LiveProblem& problem);
LiveInput gradient_of(const LiveProblem& problem, int64_t step);  // 1, 2, ...

}  // namespace plumbline::harness::live
