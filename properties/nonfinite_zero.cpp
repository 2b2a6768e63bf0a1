// The policy `zero` is a zero in place of the element, and nothing else.
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kNonfiniteZero(
    {"nonfinite_zero", "with nonfinite=zero, elements that are not finite or reach 2^50 act as zeros, and are counted",
     "a NaN that leaks into a norm, an infinity that clamps, a count that misses or repeats",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.data.regime = harness::Regime::nonfinite;
         p.options.nonfinite = reference::Nonfinite::zero;
         p.steps = 3;
         p.gradient_scale = 1;
         if (p.storage == harness::Storage::log_u8) p.storage = harness::Storage::al8;
       });
       const Inputs inputs = inputs_of(problem);
       Inputs zeroed = inputs;
       std::vector<int64_t> counts;
       for (harness::Realized& g : zeroed.gradients) {
         int64_t count = 0;
         change_values(g, problem.gradient, [&](double x, int64_t) {
           const bool bad = !(std::fabs(x) < 0x1p50);
           count += bad;
           return bad ? 0.0 : x;
         });
         counts.push_back(count);
       }
       const auto a = drive(subject, problem, inputs), b = drive(subject, problem, zeroed);
       for (size_t t = 0; t < a.size(); ++t) {
         RC_ASSERT(same_bits(a[t], b[t]));
         if (a[t].nonfinite) RC_ASSERT(*a[t].nonfinite == counts[t]);
       }
     }});

}  // namespace
}  // namespace plumbline::properties
