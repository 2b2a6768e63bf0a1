// A moving average lies between what it was and what came.
#include <algorithm>
#include <cmath>

#include "harness/contracts/bounds.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kAverageHull(
    {"average_hull", "R, C and V lie between the old average and the new sample, widened by their roundings",
     "w for 1 - w, weights that do not add up to one, an average that is overwritten or never written",
     [](const harness::Subject& subject) {
       const Problem problem = *problems([](Problem& p) {
         p.storage = harness::Storage::fp32;
         p.steps = std::max<int64_t>(p.steps, 3);
         p.options.nonfinite = reference::Nonfinite::zero;
         p.gradient_scale = 1;
         if (p.data.regime == harness::Regime::nonfinite) p.data.regime = harness::Regime::wide;
       });
       const Inputs inputs = inputs_of(problem);
       const auto k = subject.start(problem, inputs.parameter.bytes)->arithmetic();
       const double eps1 = double(float(problem.options.eps1));
       const auto seen = drive(subject, problem, inputs);
       bool judged = false;
       for (size_t t = 1; t < seen.size(); ++t) {
         const reference::Vector& g = inputs.gradients[t].values.data;
         const auto squares = reference::Tensor(problem.shape, (g.abs() < 0x1p50).select(g.square(), 0.0));
         const auto check = [&](const auto& now, const auto& before, const reference::Vector& sample,
                                double roundings) {
           if (!now || !before || int64_t(now->size()) != sample.size()) return;
           judged = true;
           for (int64_t i = 0; i < sample.size(); ++i) {
             const double old = (*before)[size_t(i)], fresh = sample[i] + eps1, x = (*now)[size_t(i)];
             RC_ASSERT(x >= std::min(old, fresh) * (1 - harness::gamma(roundings)) - 8 * harness::kUnderflow);
             RC_ASSERT(x <= std::max(old, fresh) * (1 + harness::gamma(roundings)) + 8 * harness::kUnderflow);
           }
         };
         if (problem.factored()) {
           reference::Vector rows(squares.slices() * squares.rows()), cols(squares.slices() * squares.cols());
           for (int64_t s = 0; s < squares.slices(); ++s) {
             rows.segment(s * squares.rows(), squares.rows()) = squares.matrix(s).rowwise().mean();
             cols.segment(s * squares.cols(), squares.cols()) = squares.matrix(s).colwise().mean().transpose();
           }
           check(seen[t].row, seen[t - 1].row, rows, k.square + k.row_additions + k.average_new + 1);
           check(seen[t].col, seen[t - 1].col, cols, k.square + k.col_additions + k.average_new + 1);
         } else {
           check(seen[t].second_moment, seen[t - 1].second_moment, squares.data, k.square + k.full_new + 1);
         }
       }
       if (!judged) throw NothingToJudge("no average is shown");
     }});

}  // namespace
}  // namespace plumbline::properties
