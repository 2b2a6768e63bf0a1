// Lives drawn at random, and smaller ones to try in their place: several tensors in groups whose options differ, and
// every operation that the subject offers between their steps.
#pragma once
#include <cstdint>
#include <vector>

#include "harness/lives/life.h"

namespace plumbline::properties {

// Life i depends on (seed, i) alone. Act i % (number of acts) is among its commands where it is offered, so that few
// lives meet all. `largest` limits the elements of a tensor; `device`: streams and graphs, too.
harness::Life generate_life(uint64_t seed, int index, int64_t largest, bool device);

// The most promising first: fewer commands, tensors and groups, then simpler tensors and options.
std::vector<harness::Life> smaller(const harness::Life& life);

}  // namespace plumbline::properties
