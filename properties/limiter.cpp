// The norm of an update grows by no more than the limiter's margin from one step to the next.
#include <algorithm>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kLimiter(
    {"limiter", "nu_t <= (1 + gamma)(nu_{t-1} + 1e-8), and a step that stays below is left as it is",
     "a limiter inverted or left out, a norm of another stage, one that is recorded before it is limited",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.options.limiter_margin = p.options.limiter_margin.value_or(0.1);
         p.options.nonfinite = reference::Nonfinite::zero;
         if (p.data.regime != harness::Regime::spike) p.data.regime = harness::Regime::growing;
         p.options.clip = 0;  // which would hold the norm by itself
         p.steps = std::max<int64_t>(p.steps, 4);
       });
       const double margin = *problem.options.limiter_margin;
       bool limited = false;
       double before = 0;
       for (const auto& seen : drive(subject, problem, inputs_of(problem))) {
         if (!seen.previous_norm || !seen.update_norm || !seen.limiter) throw NothingToJudge("the norms are not shown");
         constexpr double kSlack = 1 + 0x1p-50;  // doubles on both sides, a handful of operations
         if (before > 0) {
           RC_ASSERT(*seen.previous_norm <= (1 + margin) * (before + 1e-8) * kSlack);
           if (*seen.update_norm * kSlack <= (1 + margin) * (before + 1e-8)) RC_ASSERT(*seen.limiter == 1);
         } else {
           RC_ASSERT(*seen.limiter == 1);
         }
         limited = limited || *seen.limiter > 1;
         before = *seen.previous_norm;
       }
       RC_TAG(limited ? "limited" : "short enough");
     },
     80, false, "limited"});

}  // namespace
}  // namespace plumbline::properties
