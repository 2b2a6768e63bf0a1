// What a subject shows of a step, before anything is compared with the reference.
#pragma once
#include <cstddef>
#include <cstdint>

#include "harness/contracts/bounds.h"
#include "harness/problem.h"
#include "harness/subject.h"

namespace plumbline::harness {

// State is kept as the case asks, not in a way that is easier to get right, and all of it is shown: else throws
// std::runtime_error. `before`: what the path has, by slot. `writes_beyond`: writes of its slots beside one a step.
void check_shown(const Problem& problem, const StateBefore& before, size_t parameter_bytes, const Observation& observed,
                 int64_t writes_beyond = 0);

// Words that differ between two subjects' observations. A part that only one of them shows counts too.
uint64_t differing_words(const Observation& a, const Observation& b);

}  // namespace plumbline::harness
