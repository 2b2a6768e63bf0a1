// The linear layer with a deliberate fault: what a suite of checks has to notice.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "harness/subject.h"

namespace plumbline::harness {

struct LinearMutant {
  std::string name, breaks;
  std::unique_ptr<Subject> subject;  // its linear() has the fault
};
// Every fault that production knows (cuda/linear/fault.h), on a backend: "host" or "emulator".
std::vector<LinearMutant> linear_mutants(const std::string& backend);

}  // namespace plumbline::harness
