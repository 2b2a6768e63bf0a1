// Without a gradient only the decay acts: p' = rnd(p keep), exactly.
#include <cmath>
#include <cstring>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kDecayAlone(
    {"decay_alone", "a zero gradient gives p' = rnd(p fl(1 - lambda k)), bit for bit",
     "decay after the update instead of before, of a decayed RMS, coupled to the other scale, or left out",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         if (p.data.regime == harness::Regime::subnormal || p.data.regime == harness::Regime::nonfinite)
           p.data.regime = harness::Regime::gaussian;
         p.options.weight_decay = 5;
         p.parameter_rounding = harness::Rounding::nearest;
         p.options.lr = 1e-2;
       });
       Inputs inputs = inputs_of(problem);
       for (harness::Realized& g : inputs.gradients)
         change_values(g, problem.gradient, [](double, int64_t) { return 0.0; });
       std::vector<double> before(inputs.parameter.values.data.begin(), inputs.parameter.values.data.end());
       for (const auto& seen : drive(subject, problem, inputs)) {
         if (!seen.keep) throw NothingToJudge("the factor of the decay is not shown");
         const auto after = parameter_of(problem, seen);
         const double k = problem.options.weight_decay_by == reference::DecayScale::lr ? problem.options.lr
                                                                                       : seen.step_size.value_or(-1);
         RC_ASSERT(*seen.keep == float(1 - problem.options.weight_decay * k));
         for (size_t i = 0; i < after.size(); ++i) {
           const float kept = float(before[i]) * *seen.keep;
           RC_ASSERT(std::fabs(after[i] - harness::round_to(problem.parameter, double(kept))) <=
                     residue_of_nothing(problem));
         }
         before = after;
       }
     }});

}  // namespace
}  // namespace plumbline::properties
