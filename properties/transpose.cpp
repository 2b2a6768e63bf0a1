// The transposed matrix has rows for columns: R of it is C, within the roundings of the two trees.
#include <cmath>

#include "harness/contracts/bounds.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kTranspose(
    {"transpose", "after one step R of the transposed gradient is C, and C is R, within both trees' roundings",
     "rows taken for columns, a count of the other axis, a sum for a mean on one side only",
     [](const harness::Subject& subject) {
       const Problem problem = *problems(
           [](Problem& p) {
             if (p.shape.size() < 2) p.shape = {p.shape[0], 3};
             if (p.shape.size() > 2) p.shape.erase(p.shape.begin(), p.shape.end() - 2);
             p.options.factored = true;
             p.options.projection_rank = 0;
             p.gradient_scale = 1;
             p.storage = harness::Storage::fp32;
             p.steps = 1;
             if (p.data.regime != harness::Regime::heavy_tail) p.data.regime = harness::Regime::gaussian;
           },
           4096);
       const Inputs inputs = inputs_of(problem);
       Problem turned = problem;
       std::swap(turned.shape[0], turned.shape[1]);
       Inputs other = inputs;
       const auto transpose = [&](harness::Realized& x, harness::DType type) {
         const reference::Tensor before = x.values;
         const int64_t rows = before.cols(), cols = before.rows();
         x.values.shape = turned.shape;
         change_values(x, type, [&](double, int64_t i) { return before.data[i % cols * rows + i / cols]; });
       };
       transpose(other.parameter, problem.parameter);
       transpose(other.gradients[0], problem.gradient);
       const auto a = drive(subject, problem, inputs), b = drive(subject, turned, other);
       if (!a[0].row || !a[0].col || !b[0].row || !b[0].col) RC_DISCARD("R and C are not shown");
       const auto k = subject.start(problem, inputs.parameter.bytes)->arithmetic();
       const auto l = subject.start(turned, other.parameter.bytes)->arithmetic();
       const auto near = [](const std::vector<float>& x, const std::vector<float>& y, double roundings) {
         const double bound = harness::gamma(roundings);
         RC_ASSERT(x.size() == y.size());
         for (size_t i = 0; i < x.size(); ++i)
           RC_ASSERT(std::fabs(double(x[i]) - double(y[i])) <=
                     bound * (std::fabs(double(x[i])) + std::fabs(double(y[i]))) + 8 * harness::kUnderflow);
       };
       near(*a[0].row, *b[0].col, std::max(k.row_additions, l.col_additions) + k.square + k.average_new);
       near(*a[0].col, *b[0].row, std::max(k.col_additions, l.row_additions) + k.square + k.average_new);
     }});

}  // namespace
}  // namespace plumbline::properties
