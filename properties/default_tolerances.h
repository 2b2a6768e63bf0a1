// What a test with a framework's default tolerances would say: parameters after one step against double precision,
// element by element, |got - expected| <= atol + rtol |expected| (torch.testing.assert_close: float32 1.3e-6 and 1e-5,
// bfloat16 1.6e-2 and 1e-5, float16 1e-3 and 1e-5).
#pragma once
#include <string>

#include "harness/subject.h"

namespace plumbline::properties {

// The first of a dozen ordinary problems (64 x 64, bell-shaped data, one for every feature that can be switched on)
// that fails; empty: none does.
std::string default_tolerances_notice(const harness::Subject& subject);

}  // namespace plumbline::properties
