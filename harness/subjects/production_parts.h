// The production optimizer in the harness's words: what binds a problem to it, and what it shows of a tensor.
#pragma once
#include "cuda/api/optimizer.h"
#include "harness/problem.h"
#include "harness/subject.h"

namespace plumbline::harness {

Type production_type(DType type);

// Options go by name through both tables, so that an option that one side lacks is an error and not a silent default.
GroupOptions production_options(const Problem& problem);

Arithmetic arithmetic_of(const Optimizer& optimizer, int tensor);

// Everything but the parameter, after a step or between steps. `problem`: the tensor's as it stands. Waits for the
// stream.
void observe_tensor(const Optimizer& optimizer, int tensor, const Problem& problem, Stream stream, Observation& out);

}  // namespace plumbline::harness
