// One step of one tensor on the host, in the canonical evaluation order of core/geometry.h. Scratch is written first;
// state and parameters change only once the count of non-finite gradients is known.
#pragma once
#include "cuda/plan/plan.h"
#include "cuda/twin/workers.h"

namespace plumbline::twin {

struct Arenas {
  std::byte* state;
  std::byte* scratch;
};

void step_factored(const TensorPlan& tensor, const TensorPointers& pointers, const Arenas& arenas, Workers& workers);
void step_full(const TensorPlan& tensor, const TensorPointers& pointers, const Arenas& arenas, Workers& workers);

void step_projected(const TensorPlan& tensor, const TensorPointers& pointers, const Arenas& arenas, Workers& workers);

}  // namespace plumbline::twin
