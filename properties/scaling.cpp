// Gradients times 2^k with eps1 times 4^k: averages scale exactly, the update does not change at all.
#include <algorithm>
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;
using harness::Storage;

const RegisterProperty kScaling(
    {"scaling", "g times 2^k and eps1 times 4^k leave every bit of p unchanged (fp32 and linear storage)",
     "eps added in the wrong place or at all, a floor that binds, a scale of another block",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         // data far from under- and overflow, and no floor of a format in reach
         p.gradient = harness::DType::float32;
         p.data.regime = p.data.regime == harness::Regime::frozen ? p.data.regime : harness::Regime::gaussian;
         p.data.exponent = 0;
         p.options.eps1 = 0x1p-40;
         p.options.projection_rank = 0;  // its eps is added to what scales
         p.gradient_scale = 1;
         if (p.options.beta2_decay == -1.0) p.options.beta2_decay = -0.8;
         if (p.storage != Storage::fp32) p.storage = Storage::linear_u8;
       });
       const int k = *anywhere(-10, 13);
       Inputs inputs = inputs_of(problem);
       // linear storage has an absolute floor of 1e-12 under its scale: no square comes near it
       for (harness::Realized& g : inputs.gradients)
         change_values(g, problem.gradient,
                       [](double x, int64_t) { return std::copysign(std::max(std::fabs(x), 0x1p-2), x); });
       Inputs scaled = inputs;
       for (harness::Realized& g : scaled.gradients)
         change_values(g, problem.gradient, [&](double x, int64_t) { return std::ldexp(x, k); });
       Problem other = problem;
       other.options.eps1 = std::ldexp(problem.options.eps1, 2 * k);
       const auto a = drive(subject, problem, inputs), b = drive(subject, other, scaled);
       for (size_t t = 0; t < a.size(); ++t) {
         RC_ASSERT(a[t].parameter == b[t].parameter);
         for (size_t i = 0; i < a[t].state.size(); ++i)
           if (a[t].state[i].storage == Storage::linear_u8) RC_ASSERT(a[t].state[i].values == b[t].state[i].values);
       }
       RC_TAG(k < 0 ? "down" : k > 0 ? "up" : "none");
     }});

}  // namespace
}  // namespace plumbline::properties
