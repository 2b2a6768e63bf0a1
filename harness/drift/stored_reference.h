// The reference as a subject of closed loops: in double, with its state stored by the reference's codecs after every
// step. What storing alone does to a training, without float32, and also where production refuses to store so.
#pragma once
#include <memory>

#include "harness/subject.h"

namespace plumbline::harness {

// Shows the parameter and the number of steps, nothing else: there is nothing to judge step by step. Momentum is stored
// in blocks of a row, averages in blocks of a matrix. `raised`: the second moment in use is never below what the codes
// of momentum resolve, as the rule is; false: as it was before, to see what that is for.
std::unique_ptr<Subject> make_stored_reference(bool raised = true);

}  // namespace plumbline::harness
