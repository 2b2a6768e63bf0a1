// How small a relative fault the judge notices: every value of one stage is multiplied by 1 + k 2^-23, and k is raised
// until each of a few problems fails.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/result.h"
#include "harness/section.h"
#include "harness/subject.h"

namespace plumbline::properties {

struct Threshold {
  harness::Quantity stage{};
  std::string what;  // the stage's name, and what is special
  std::string shape;
  int up = 0, down = 0;  // smallest k noticed on every problem, of either sign; 0: none up to kLargestPerturbation
  int limit = 0;         // the k that is asked for; 0: none
};
inline constexpr int kLargestPerturbation = 1 << 14;

// Every stage that can be perturbed, on tensors of several shapes. Throws InputError in a program without mutants.
std::vector<Threshold> measure_thresholds(const harness::Subject& subject, uint64_t seed);
// Tables of the thresholds and of what k = 1, 4, 16 and 64 do; red where a limit is missed.
harness::Section describe_thresholds(const std::vector<Threshold>& thresholds);

}  // namespace plumbline::properties
