// A quantization block knows nothing of its neighbours.
#include <algorithm>
#include <cstring>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kBlockIndependence(
    {"block_independence", "a gradient changed inside one block leaves the codes, scales and parameters of all others",
     "a neighbour's scale, a block boundary off by one, a tail block of the wrong length",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.shape = {std::clamp<int64_t>(p.elements(), 130, 700)};
         p.block = 64;
         p.min_quantized_size = 0;
         if (p.storage == harness::Storage::fp32) p.storage = harness::Storage::al8;
         plain_chain(p);
         p.gradient_scale = 1;
         p.options.clip = 0;  // no norm that ties elements together
         p.options.scale_parameter = false;
         p.options.nonfinite = reference::Nonfinite::zero;
         if (p.data.regime == harness::Regime::nonfinite) p.data.regime = harness::Regime::wide;
       });
       const int64_t n = problem.elements(), changed = *anywhere<int64_t>(0, n);
       const Inputs inputs = inputs_of(problem);
       Inputs other = inputs;
       change_values(other.gradients[0], problem.gradient,
                     [&](double x, int64_t i) { return i == changed ? 4 * x + 0.25 : x; });
       const auto a = drive(subject, problem, inputs), b = drive(subject, problem, other);
       const int64_t block = changed / problem.block, first = block * problem.block,
                     last = std::min(first + problem.block, n);
       for (size_t t = 0; t < a.size(); ++t) {
         const size_t width = harness::size_of(problem.parameter);
         for (int64_t i = 0; i < n; ++i)
           if (i != changed)
             RC_ASSERT(i / problem.block == block ||
                       std::memcmp(&a[t].parameter[size_t(i) * width], &b[t].parameter[size_t(i) * width], width) == 0);
         for (size_t s = 0; s < a[t].state.size(); ++s) {
           const auto &x = a[t].state[s], &y = b[t].state[s];
           const size_t code = x.values.size() / size_t(x.count);
           for (int64_t i = 0; i < n; ++i)
             if (i < first || i >= last)
               RC_ASSERT(std::memcmp(&x.values[size_t(i) * code], &y.values[size_t(i) * code], code) == 0);
           const int64_t blocks = (n + problem.block - 1) / problem.block;
           const size_t words = x.scales.size() / size_t(blocks);
           for (int64_t k = 0; k < blocks; ++k)
             if (k != block)
               RC_ASSERT(
                   std::memcmp(&x.scales[size_t(k) * words], &y.scales[size_t(k) * words], words * sizeof(float)) == 0);
         }
       }
       RC_TAG(last - first < problem.block ? "tail block" : "whole block");
     }});

}  // namespace
}  // namespace plumbline::properties
