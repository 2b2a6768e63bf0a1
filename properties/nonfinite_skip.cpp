// The policy `skip` leaves the tensor as it was, and the next step is the one that would have come.
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kNonfiniteSkip(
    {"nonfinite_skip", "with nonfinite=skip, a step with such an element leaves every byte and the clock alone",
     "state written before the count is known, a clock or a carried norm that moves on",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.options.nonfinite = reference::Nonfinite::skip;
         p.data.regime = harness::Regime::gaussian;
         p.steps = 3;
         p.gradient_scale = 1;
       });
       const auto bad = *anywhere<int64_t>(0, problem.elements());
       const auto value = *rc::gen::element(INFINITY, -INFINITY, NAN);
       const auto at = *anywhere<size_t>(0, 4);  // of the steps: also before any state was left
       const Inputs inputs = inputs_of(problem);
       Inputs with = inputs;  // one more gradient, which is to be skipped
       harness::Realized spoiled = inputs.gradients[1];
       change_values(spoiled, problem.gradient, [&](double x, int64_t i) { return i == bad ? double(value) : x; });
       with.gradients.insert(with.gradients.begin() + int64_t(at), spoiled);
       const auto a = drive(subject, problem, inputs), b = drive(subject, problem, with);
       RC_ASSERT((at == 0 ? b[0].parameter == inputs.parameter.bytes : same_bits(b[at], b[at - 1])));
       RC_ASSERT(b[at].steps_taken == int64_t(at));
       RC_ASSERT(same_bits(a[2], b[3]));
     }});

}  // namespace
}  // namespace plumbline::properties
