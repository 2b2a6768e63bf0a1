// The clip works: no update is longer than it allows.
#include <cmath>

#include "harness/contracts/bounds.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kClip(
    {"clip", "RMS((keep p - p')/alpha) <= d (1 + K u): what reached the parameter is within the clip",
     "a clip left out, inverted, of another norm, or applied where it no longer matters",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         if (!(p.options.clip > 0)) p.options.clip = 1;
         if (p.data.regime == harness::Regime::nonfinite || p.data.regime == harness::Regime::subnormal)
           p.data.regime = harness::Regime::gaussian;
         p.parameter = harness::DType::float32;
         p.options.lr = 1e-2;
         plain_chain(p);  // later stages change the length again
         p.gradient_scale = 1;
       });
       const Inputs inputs = inputs_of(problem);
       std::vector<double> before(inputs.parameter.values.data.begin(), inputs.parameter.values.data.end());
       const auto n = double(before.size());
       bool acted = false;
       for (const auto& seen : drive(subject, problem, inputs)) {
         if (!seen.step_size || !seen.clip) throw NothingToJudge("neither step size nor clip are shown");
         const auto after = parameter_of(problem, seen);
         const double keep = double(seen.keep.value_or(1)), alpha = seen.step_size.value_or(0);
         double moved = 0, size = 0;
         for (size_t i = 0; i < after.size(); ++i) {
           const double d = keep * before[i] - after[i];
           moved += d * d;
           size += std::max(before[i] * before[i], after[i] * after[i]);
         }
         // Roundings: of u and of its norm, some forty and the trees' heights; of p keep and of p', one each.
         constexpr double kRoundings = 40;
         const double heights = 2 * std::log2(n + 1) + n / 64;
         RC_ASSERT(std::sqrt(moved / n) <= alpha * problem.options.clip * (1 + harness::gamma(kRoundings + heights)) +
                                               2 * harness::kUnit * std::sqrt(size / n));
         acted = acted || seen.clip.value_or(1) > 1;
         before = after;
       }
       RC_TAG(acted ? "clipped" : "short enough");
     },
     80, false, "clipped"});

}  // namespace
}  // namespace plumbline::properties
