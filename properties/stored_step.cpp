// A step does not feel what else is in its block: stored in few bits, the first update is at most 2 in every element.
#include <algorithm>
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;
using harness::Storage;

// Without storing, the first update is g/sqrt(g^2 + eps1) in magnitude. A step q of the codes is worth at most 1 of it:
// the second moment in use is at least (b q)^2, and stochastic rounding moves M by less than q.
const RegisterProperty kStoredStep(
    {"stored_step",
     "one element 2^k times larger than the rest of its block makes no other one step further than 2 alpha",
     "a second moment that is used below what the codes resolve, a neighbour's scale, sums of squared steps for one",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         plain_chain(p);
         auto& o = p.options;
         o.beta1 = 0.9;
         o.factored = false;
         o.clip = 0;
         o.weight_decay = 0;
         o.nonfinite = reference::Nonfinite::zero;
         o.eps1 = reference::PlumblineOptions{}.eps1;
         o.beta2_decay = reference::PlumblineOptions{}.beta2_decay;
         if (p.momentum_storage != Storage::uf4) p.momentum_storage = Storage::uf8;
         p.momentum_rounding = harness::Rounding::stochastic;
         p.min_quantized_size = 0;
         p.parameter = p.gradient = harness::DType::float32;
         p.gradient_scale = 1;
         p.data.regime = harness::Regime::gaussian;
         p.data.exponent = -6;
         p.steps = 1;
       });
       const int octaves = *anywhere(0, 41);
       const int64_t large = *anywhere<int64_t>(0, problem.elements());
       Inputs inputs = inputs_of(problem);
       change_values(inputs.gradients[0], problem.gradient,
                     [&](double g, int64_t i) { return i == large ? std::ldexp(g, octaves) : g; });
       const auto seen = drive(subject, problem, inputs);
       const auto after = parameter_of(problem, seen[0]);
       const double alpha = seen[0].step_size.value_or(0);
       for (size_t i = 0; i < after.size(); ++i) {
         const double before = inputs.parameter.values.data[Eigen::Index(i)];
         RC_ASSERT(std::fabs(after[i] - before) <=
                   2 * alpha * (1 + 0x1p-10) + 0x1p-23 * std::max(std::fabs(before), std::fabs(after[i])));
       }
       RC_TAG(octaves > 10 && problem.shape.back() > 1 ? "below what codes resolve" : "resolved");
     },
     60, false, "below what codes resolve"});

}  // namespace
}  // namespace plumbline::properties
