// The norm that a step leaves for the next one has the bits of a fresh one.
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kCarriedNorm(
    {"carried_norm", "parameter_norm=carried gives the bits of parameter_norm=fresh",
     "a norm of p before its storage rounding, of another tree, or one step old", [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.options.scale_parameter = true;
         p.carried_norm = false;
         p.steps = std::max<int64_t>(p.steps, 3);
         // more often than not several warps beside each other and more rows than a block takes at once
         if (p.shape.size() == 2 || p.seed % 2 == 0) p.shape = {24 + int64_t(p.seed % 17), 129 + int64_t(p.seed % 101)};
       });
       const Inputs inputs = inputs_of(problem);
       Problem carried = problem;
       carried.carried_norm = true;
       const auto a = drive(subject, problem, inputs), b = drive(subject, carried, inputs);
       for (size_t t = 0; t < a.size(); ++t) {
         if (!a[t].step_size && a[t].state.empty()) throw NothingToJudge("neither step size nor state are shown");
         RC_ASSERT(same_bits(a[t], b[t]));
         RC_ASSERT(a[t].step_size == b[t].step_size || !(a[t].step_size == a[t].step_size));
       }
     }});

}  // namespace
}  // namespace plumbline::properties
