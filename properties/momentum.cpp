// Stored momentum lies between what it was and what came.
#include <algorithm>
#include <cmath>

#include "harness/contracts/bounds.h"
#include "harness/contracts/codes.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kMomentum(
    {"momentum", "M of the gradient lies between the old M and g, within one step of its codes",
     "beta1 for 1 - beta1, a momentum that is never stored or decoded with another block's scale, swapped nibbles",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         plain_chain(p);
         p.options.beta1 = 0.75;
         p.options.nonfinite = reference::Nonfinite::zero;
         p.gradient_scale = 1;
         p.min_quantized_size = 0;
         if (p.data.regime == harness::Regime::nonfinite) p.data.regime = harness::Regime::gaussian;
         p.steps = std::max<int64_t>(p.steps, 3);
       });
       const Inputs inputs = inputs_of(problem);
       const auto arithmetic = subject.start(problem, inputs.parameter.bytes)->arithmetic();
       const auto seen = drive(subject, problem, inputs);
       reference::Vector before = reference::Vector::Zero(problem.elements());
       harness::DecodedSlot decoded;
       bool shown = false;
       for (size_t t = 0; t < seen.size(); ++t) {
         for (const harness::SlotState& slot : seen[t].state) {
           if (slot.slot != reference::Slot::momentum) continue;
           harness::decode_slot(slot, arithmetic, problem.shape, decoded, uint32_t(problem.seed));
           shown = true;
           const reference::Vector &m = decoded.values.data, &g = inputs.gradients[t].values.data;
           // a step of the widest block; bfloat16 steps by 2^-7 of the value, float32 by its roundings
           double step = 0;
           for (const float scale : slot.scales) step = std::max(step, double(scale));
           step *= slot.storage == harness::Storage::uf4 ? 1 / 5.5 : 1 / 125.5;
           for (int64_t i = 0; i < m.size(); ++i) {
             const double low = std::min(before[i], g[i]), high = std::max(before[i], g[i]);
             const double width = slot.storage == harness::Storage::bf16
                                      ? 0x1p-7 * std::max(std::fabs(low), std::fabs(high)) + 0x1p-133
                                      : step;
             const double roundings =
                 harness::gamma(6) * (std::fabs(low) + std::fabs(high)) + width * (1 + 0x1p-20) + 0x1p-148;
             RC_ASSERT(m[i] >= low - roundings);
             RC_ASSERT(m[i] <= high + roundings);
           }
           before = m;
         }
       }
       if (!shown) throw NothingToJudge("no momentum is shown");
       RC_TAG(harness::to_string(problem.momentum_storage));
     },
     60});

}  // namespace
}  // namespace plumbline::properties
