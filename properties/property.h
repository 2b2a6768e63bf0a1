// Properties: statements that hold for every problem of a kind, checked on problems drawn at random; what fails is
// shrunk to the smallest tensor, step count and option set that still fails. Each property has a file of its own, named
// for what it states, which registers it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/registry.h"
#include "harness/section.h"
#include "harness/subject.h"

namespace plumbline::properties {

struct Property {
  std::string name;     // "clip", "sign_symmetry", ...: the file's name
  std::string states;   // in one sentence
  std::string catches;  // the faults that it is there for
  // Draws one problem (RapidCheck's *generator) and asserts on it (RC_ASSERT, RC_FAIL).
  std::function<void(const harness::Subject&)> check;
  // Cases that a quick suite tries; a full one ten times as many.
  int quick_cases = 40;
  bool reads_reference = false;  // compares with the reference: blind to what that gets wrong in the same way
  // The class (RC_TAG) of draws in which what it is about acted: with none of them among those that held, it gave up.
  std::string acts = {};
};

// Every registered property, by name.
const std::vector<Property>& all_properties();
const Property& find_property(const std::string& name);  // throws InputError listing the known ones
struct RegisterProperty {
  explicit RegisterProperty(Property property);
};

struct PropertyResult {
  // gave_up: too many draws did not fit, or nothing that it is about acted in those that did; broken: the check itself
  // failed to run. Neither is a pass. not_run: the subject says that it runs none of what was drawn; no pass either,
  // and not red where other properties held.
  enum class Outcome : uint8_t { held, failed, gave_up, broken, not_run };
  std::string name;
  Outcome outcome = Outcome::held;
  int cases = 0;  // that held
  double seconds = 0;
  std::string counterexample;        // the smallest one found, and what it broke
  std::map<std::string, int> drawn;  // classes of what was drawn, and how many
};
const char* to_string(PropertyResult::Outcome outcome);

// Thrown by a check that can say nothing of the problem that it drew, because the subject does not run it or does not
// show what the property is about. Such a draw is no case.
struct NothingToJudge : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// `cases` problems drawn from `seed`, of those that the subject runs.
PropertyResult check_property(const Property& property, const harness::Subject& subject, uint64_t seed, int cases,
                              bool shrink = true);

// A table of results, red unless all held that ran, and some did.
harness::Section describe_properties(const std::vector<PropertyResult>& results);

}  // namespace plumbline::properties
