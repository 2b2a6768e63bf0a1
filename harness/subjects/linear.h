// The production linear layer as a subject.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cuda/linear/layer.h"
#include "harness/linear/subject.h"
#include "harness/subject.h"

namespace plumbline::harness {

std::unique_ptr<LinearSubject> make_linear_subject(Backend backend, linear::Fault fault = linear::Fault::none);

}  // namespace plumbline::harness
