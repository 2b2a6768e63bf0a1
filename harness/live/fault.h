// A fault between a subject and its judge: what `plumbline mutants` seeds to learn which errors a suite would notice in
// the subject, without touching its code.
#pragma once
#include <cstdint>
#include <string>

namespace plumbline::harness::live {

struct LiveFault {
  std::string name;           // empty: none
  std::string option, value;  // the subject is given this value (JSON) of an option; the reference is not
  int64_t skipped_step = 0;   // this step is not taken: parameter and state stay as they were
  bool stale_state = false;   // shows the state of the step before
  double factor = 1;          // parameters, or ...
  std::string slot;           // ... this slot, are multiplied by it

  bool acts() const { return !name.empty(); }
};

}  // namespace plumbline::harness::live
