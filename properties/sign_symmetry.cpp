// Gradients and parameters of the other sign give the same step with the other sign.
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

const RegisterProperty kSignSymmetry(
    {"sign_symmetry", "-g and -p give -p', and the same averages of squares, bit for bit",
     "truncation and rounding towards one side, biased codes, wrong handling of the sign bit",
     [](const harness::Subject& subject) {
       const harness::Problem problem = *problems([](harness::Problem& p) {
         if (p.data.regime == harness::Regime::nonfinite) p.data.regime = harness::Regime::wide;
         round_to_nearest(p);
       });
       const Inputs inputs = inputs_of(problem);
       Inputs negated = inputs;
       const auto negate = [](double x, int64_t) { return -x; };
       change_values(negated.parameter, problem.parameter, negate);
       for (harness::Realized& g : negated.gradients) change_values(g, problem.gradient, negate);
       const auto a = drive(subject, problem, inputs), b = drive(subject, problem, negated);
       for (size_t t = 0; t < a.size(); ++t) {
         for (size_t i = 0; i < a[t].state.size(); ++i) {
           const auto &x = a[t].state[i], &y = b[t].state[i];
           if (x.slot == reference::Slot::momentum || x.slot == reference::Slot::low_rank_momentum) continue;
           RC_ASSERT(x.values == y.values);
           RC_ASSERT(x.scales.size() == y.scales.size());
           for (size_t k = 0; k < x.scales.size(); ++k)
             RC_ASSERT(x.scales[k] == y.scales[k] || (x.scales[k] != x.scales[k] && y.scales[k] != y.scales[k]));
         }
         const auto p = parameter_of(problem, a[t]), q = parameter_of(problem, b[t]);
         for (size_t i = 0; i < p.size(); ++i)
           if (!(p[i] == -q[i] || (p[i] != p[i] && q[i] != q[i]))) RC_FAIL("the parameter is not the negated one");
       }
     }});

}  // namespace
}  // namespace plumbline::properties
