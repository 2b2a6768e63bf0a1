// G_low = G P or P^T G on the host: the integers of core/projection.h, which doubles hold and add exactly.
#pragma once
#include "cuda/twin/gradient.h"
#include "cuda/twin/steps.h"

namespace plumbline::twin {

// Values that a tensor's projection takes in Workers::entries, and in each Workspace::sums.
int64_t projection_entries(const TensorPlan& t);
int64_t projection_sums(const TensorPlan& t);
// Fills them for step t, then the plan's low_rank_gradient; channel_largest is known.
void project(const TensorPlan& t, const Gradient& gradient, int64_t step, const Arenas& arenas, Workers& workers);

}  // namespace plumbline::twin
