// Random rounding is right on average: over many seeds the mean of what is read back is what was stored.
#include <cmath>

#include "harness/contracts/codes.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;
using harness::Rounding;
using harness::Storage;

// Each error lies in an interval as wide as a step h of the codes, so the mean of N of them is further from zero than
// h sqrt(ln(2/a)/(2 N)) with a probability of at most a (Hoeffding).
constexpr int kSeeds = 300;
constexpr double kLevel = 1e-12;  // per element

const RegisterProperty kUnbiased(
    {"unbiased", "stochastic and dithered codes of momentum average to the value before coding, at level 1e-12",
     "truncation or rounding to the nearest in place of a draw, one draw for all, a seed that is not read",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         plain_chain(p);
         p.options.beta1 = 0.5;
         p.options.nonfinite = reference::Nonfinite::zero;
         p.gradient_scale = 1;
         p.gradient = harness::DType::float32;
         p.min_quantized_size = 0;
         p.steps = 1;
         p.shape = {p.elements() % 200 + 20};
         p.data.regime = harness::Regime::gaussian;
         if (p.momentum_storage != Storage::uf4) p.momentum_storage = Storage::uf8;
         if (p.momentum_rounding == Rounding::nearest) p.momentum_rounding = Rounding::stochastic;
         // only of what nothing divides
         if (p.momentum_rounding == Rounding::dither) p.options.momentum_of = reference::MomentumOf::update;
       });
       const Inputs inputs = inputs_of(problem);
       const auto arithmetic = subject.start(problem, inputs.parameter.bytes)->arithmetic();
       reference::Vector sum = reference::Vector::Zero(problem.elements()), exact, step;
       harness::DecodedSlot decoded;
       for (int seed = 0; seed < kSeeds; ++seed) {
         Problem one = problem;
         one.seed = uint64_t(seed) * 7919 + problem.seed;
         const auto seen = drive(subject, one, inputs);
         const bool stored =
             std::any_of(seen[0].state.begin(), seen[0].state.end(), [](const harness::SlotState& slot) {
               return slot.slot == reference::Slot::momentum && !slot.scales.empty();
             });
         if (!seen[0].momentum || !stored) throw NothingToJudge("M is not shown");
         exact = Eigen::Map<const Eigen::ArrayXf>(seen[0].momentum->data(), problem.elements()).cast<double>();
         for (const harness::SlotState& slot : seen[0].state) {
           if (slot.slot != reference::Slot::momentum) continue;
           harness::decode_slot(slot, arithmetic, problem.shape, decoded, uint32_t(one.seed));
           sum += decoded.values.data;
           step.resize(problem.elements());
           for (int64_t i = 0; i < step.size(); ++i)
             step[i] = slot.scales[size_t(i / slot.block)] / (slot.storage == Storage::uf4 ? 5.5 : 125.5);
         }
       }
       const double width = std::sqrt(std::log(2 / kLevel) / (2 * kSeeds));
       for (int64_t i = 0; i < exact.size(); ++i)
         RC_ASSERT(std::fabs(sum[i] / kSeeds - exact[i]) <= step[i] * (width + 1e-3));
       RC_TAG(harness::to_string(problem.momentum_rounding));
     },
     6});

}  // namespace
}  // namespace plumbline::properties
