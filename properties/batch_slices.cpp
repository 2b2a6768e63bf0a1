// Matrices of a batch know nothing of each other.
#include <algorithm>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

harness::Realized slice_of(const harness::Realized& batch, harness::DType type, const std::vector<int64_t>& shape,
                           int64_t slice) {
  harness::Realized one;
  one.values = reference::Tensor(shape);
  const int64_t n = one.values.size();
  one.values.data = batch.values.data.segment(slice * n, n);
  const auto begin = batch.bytes.begin() + slice * n * int64_t(harness::size_of(type));
  one.bytes.assign(begin, begin + n * int64_t(harness::size_of(type)));
  return one;
}

const RegisterProperty kBatchSlices(
    {"batch_slices", "with clip and parameter scale off, each matrix of a batch steps as it would alone, bit for bit",
     "blocks that cross matrices, an average of another slice, a stride of the wrong axis",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         while (p.shape.size() < 3) p.shape.insert(p.shape.begin(), 3);
         if (p.shape.size() > 3) p.shape.erase(p.shape.begin(), p.shape.end() - 3);
         p.shape[0] = std::clamp<int64_t>(p.shape[0], 1, 5);
         p.options.clip = 0;
         p.options.limiter_margin.reset();
         p.options.projection_rank = 0;
         round_to_nearest(p);  // random numbers depend on the slice
         p.options.scale_parameter = false;
         p.options.nonfinite = reference::Nonfinite::zero;  // a skip is for the whole tensor
         p.min_quantized_size = 0;
       });
       const Inputs inputs = inputs_of(problem);
       const auto all = drive(subject, problem, inputs);
       Problem alone = problem;
       alone.shape.erase(alone.shape.begin());
       for (int64_t s = 0; s < problem.shape[0]; ++s) {
         Inputs one;
         one.parameter = slice_of(inputs.parameter, problem.parameter, alone.shape, s);
         for (const auto& g : inputs.gradients) one.gradients.push_back(slice_of(g, problem.gradient, alone.shape, s));
         const auto seen = drive(subject, alone, one);
         for (size_t t = 0; t < seen.size(); ++t) {
           const size_t bytes = seen[t].parameter.size();
           RC_ASSERT(std::equal(seen[t].parameter.begin(), seen[t].parameter.end(),
                                all[t].parameter.begin() + s * int64_t(bytes)));
           for (size_t i = 0; i < seen[t].state.size(); ++i) {
             const auto &mine = seen[t].state[i], &theirs = all[t].state[i];
             RC_ASSERT(std::equal(mine.values.begin(), mine.values.end(),
                                  theirs.values.begin() + s * int64_t(mine.values.size())));
             RC_ASSERT(std::equal(mine.scales.begin(), mine.scales.end(),
                                  theirs.scales.begin() + s * int64_t(mine.scales.size())));
           }
         }
       }
     }});

}  // namespace
}  // namespace plumbline::properties
