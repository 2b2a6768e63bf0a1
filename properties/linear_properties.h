// Properties of the W8A8 linear layer: what must hold whatever the data. Each says what it would catch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/linear/subject.h"
#include "harness/section.h"

namespace plumbline::properties {

struct LinearProperty {
  const char *name, *catches;
  // What is violated, on a problem of its own that depends on the seed alone; empty: nothing.
  std::string (*violation)(const harness::LinearSubject& subject, uint64_t seed);
};
const std::vector<LinearProperty>& linear_properties();

struct LinearPropertyResult {
  const LinearProperty* property;
  uint64_t held;          // problems that it held for, from the first seed on
  std::string violation;  // on the next one; empty: none
};
// Each on `tries` problems, of the seeds from `seed` on.
std::vector<LinearPropertyResult> check_linear_properties(const harness::LinearSubject& subject, uint64_t seed,
                                                          uint64_t tries);
// A table of results, red unless all held.
harness::Section describe_linear_properties(const std::vector<LinearPropertyResult>& results);

}  // namespace plumbline::properties
