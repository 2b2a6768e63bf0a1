// With eps1 inside the averages every step is finite, whatever the gradient.
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kEps1(
    {"eps1", "zero, subnormal and huge gradients give a finite step, and a zero gradient none at all",
     "eps1 outside the average or left out, a division by zero, squares that overflow",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.gradient = harness::DType::float32;
         p.parameter = harness::DType::float32;
         p.options.weight_decay = 0;
         p.data.regime = harness::Regime::gaussian;
         p.steps = 3;
         // s = |N|/|G_low| of a sum that cancels beside a momentum that does not: of any size, but for the clip
         if (p.options.projection_rank > 0 && p.options.clip == 0) p.options.clip = 1;
       });
       const auto kind = *rc::gen::element(0, 1, 2, 3);
       const auto huge = *anywhere(20, 50);
       Inputs inputs = inputs_of(problem);
       for (harness::Realized& g : inputs.gradients)
         change_values(g, problem.gradient, [&](double x, int64_t i) {
           switch (kind) {
             case 0:
               return 0.0;
             case 1:
               return std::copysign(0x1p-149 * double(i % 7), x);
             case 2:
               return std::copysign(std::ldexp(0.99, huge), x);
             default:  // side by side
               return i % 3 == 0 ? std::copysign(std::ldexp(0.99, huge), x) : i % 3 == 1 ? 0x1p-149 : 0.0;
           }
         });
       const std::vector<double> initial(inputs.parameter.values.data.begin(), inputs.parameter.values.data.end());
       for (const auto& seen : drive(subject, problem, inputs)) {
         const auto after = parameter_of(problem, seen);
         for (size_t i = 0; i < after.size(); ++i) {
           RC_ASSERT(std::isfinite(after[i]));
           if (kind == 0) RC_ASSERT(std::fabs(after[i] - initial[i]) <= residue_of_nothing(problem));
         }
       }
       static const char* const kKinds[] = {"zero", "subnormal", "huge", "side by side"};
       RC_TAG(kKinds[kind]);
     },
     60});

}  // namespace
}  // namespace plumbline::properties
