// Properties of the W8A8 linear layer: what must hold whatever the data. Each says what it would catch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "harness/linear/subject.h"

namespace plumbline::properties {

struct LinearProperty {
  const char *name, *catches;
  // What is violated, on a problem of its own that depends on the seed alone; empty: nothing.
  std::string (*violation)(const harness::LinearSubject& subject, uint64_t seed);
};
const std::vector<LinearProperty>& linear_properties();

}  // namespace plumbline::properties
