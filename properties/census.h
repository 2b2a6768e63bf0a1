// Combinatorial coverage of a suite: which combinations of option values its cases have met, measured from those that
// were judged and could have failed.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "harness/registry.h"

namespace plumbline::properties {

// Combinations of so many values are what a suite of this size has to meet: pairs of a quick one, else triples.
inline int strength_of(harness::SuiteSize size) { return size == harness::SuiteSize::quick ? 2 : 3; }

// Red where a whole suite misses a valid combination of `strength` values.
std::unique_ptr<harness::Census> make_coverage(int strength);
// What shards of a suite met together, from what each of them counted (Census::part).
harness::Section join_coverage(std::span<const std::string> parts);

}  // namespace plumbline::properties
