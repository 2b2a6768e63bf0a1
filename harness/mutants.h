// The production optimizer with a deliberate fault: what a suite of checks has to notice. The faults exist in the
// program plumbline-mutants alone, which is linked with a build of the library that has them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "harness/result.h"

namespace plumbline::harness {

struct OptimizerMutant {
  std::string id, breaks, where;  // `where`: a file below cuda/
  std::string stage;              // the quantity that should leave its bound first
  bool in_twin = true, in_kernels = true;
};
const std::vector<OptimizerMutant>& optimizer_mutants();

// Whether this program has them on a backend: "host", "emulator" or "cuda".
bool mutants_built(const std::string& subject);

// While it lives, every production subject of the process has the fault. One at a time.
class ActiveMutant {
 public:
  // Throws InputError for an unknown id, and in a program without mutants.
  explicit ActiveMutant(const std::string& id);
  // A stage's values times 1 + ulps 2^-23. Throws InputError for a quantity that has no such switch.
  ActiveMutant(Quantity stage, int ulps);
  ~ActiveMutant();
  ActiveMutant(const ActiveMutant&) = delete;
  ActiveMutant& operator=(const ActiveMutant&) = delete;
};
// Stages that can be perturbed, in the order of the computation.
std::vector<Quantity> perturbed_stages();

}  // namespace plumbline::harness
