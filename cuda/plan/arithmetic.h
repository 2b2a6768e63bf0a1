// Rounding counts of the evaluation order, for one tensor.
#pragma once
#include "cuda/plan/plan.h"

namespace plumbline {

Arithmetic describe_arithmetic(const TensorPlan& tensor);

}  // namespace plumbline
