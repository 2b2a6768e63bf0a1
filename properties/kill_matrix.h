// Which check of the quick suite notices which deliberate fault, and how soon.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/family.h"
#include "harness/mutants.h"
#include "harness/result.h"
#include "harness/section.h"
#include "harness/subject.h"

namespace plumbline::properties {

// A check that went red on a mutant and is not on the sound subject.
struct Kill {
  std::string check;  // "generated", "traces", "w8a8", or a property's name
  std::string stage;  // first quantity out of its bound; of a property: empty
  int64_t cases = 0;  // up to the one that noticed it
  double milliseconds = 0;
  std::string line;  // the case
};

struct MutantResult {
  std::string id, breaks, where, expected_stage, subject;
  std::vector<Kill> kills;      // in the order of the checks; only the first unless every check was asked for
  bool changes_output = true;   // a fault that changes nothing is an error of the suite
  int64_t cases = 0;            // that a survivor passed
  std::string default_notices;  // the problem on which default tolerances notice it; empty: none
  bool every_check = false;     // `kills` is complete
  bool killed() const { return !kills.empty(); }
};

struct MatrixOptions {
  uint64_t seed = 1;
  bool every_check = false;                       // go on after the first kill
  bool kernels_alone = false;                     // only what the twin does not have
  std::vector<std::string> ids;                   // empty: all
  std::function<void(const MutantResult&)> done;  // called after each; may be empty
};

// The optimizer's mutants that the subject has, against generated problems, properties and traces of the quick suite,
// in that order; then those of the linear layer ("w8a8/..."). Comparing with another backend is no check here. Throws
// InputError for an unknown id, and in a program without mutants.
std::vector<MutantResult> run_mutants(const std::string& subject, const MatrixOptions& options);

// Turns a fault on for as long as what it returns lives; null: the mutant is a subject of its own.
using Activate = std::function<std::unique_ptr<harness::ActiveMutant>()>;
// Whether the mutant leaves other bits than the sound subject in any of the problems. Both may be the
// same subject where `activate` makes the difference.
bool changes_bits(std::span<const harness::AnyProblem> problems, const harness::Subject& sound,
                  const harness::Subject& mutant, const Activate& activate);

// Why a mutant that survives may; empty: it may not.
std::string known_survivor(const std::string& id);
// Tables of what was noticed by which check; where every check was asked, also of what each check notices alone: among
// all, and among those that do not compare with the reference. The latter would be alone with a fault that the
// reference shares. Red where a mutant survives without a known reason or changes no output.
harness::Section describe_mutants(const std::vector<MutantResult>& results);

}  // namespace plumbline::properties
