// Rows in another order give the same rows in that order.
#include <algorithm>
#include <numeric>
#include <random>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

// Rows of a matrix in another order: out row i is row order[i].
void permute_rows(harness::Realized& x, harness::DType type, const std::vector<int64_t>& order) {
  const int64_t cols = x.values.cols();
  const reference::Vector before = x.values.data;
  change_values(x, type, [&](double, int64_t i) { return before[order[size_t(i / cols)] * cols + i % cols]; });
}

const RegisterProperty kRowPermutation(
    {"row_permutation", "permuted rows of g permute R bit for bit (fp32 storage)",
     "a row's sum that reads its neighbour, a tail of columns left out, rows of another strip",
     [](const harness::Subject& subject) {
       const Problem problem = *problems(
           [](Problem& p) {
             if (p.shape.size() < 2) p.shape = {p.shape[0], 3};
             if (p.shape.size() > 2) p.shape.erase(p.shape.begin(), p.shape.end() - 2);
             p.options.factored = true;
             p.options.projection_rank = 0;
             p.storage = harness::Storage::fp32;
             p.steps = 1;
             if (p.data.regime == harness::Regime::spike) p.data.regime = harness::Regime::gaussian;
           },
           4096);
       const auto seed = *rc::gen::arbitrary<uint32_t>();
       const int64_t rows = problem.shape[0];
       std::vector<int64_t> order(static_cast<size_t>(rows));
       std::iota(order.begin(), order.end(), 0);
       std::shuffle(order.begin(), order.end(), std::mt19937(seed));
       const Inputs inputs = inputs_of(problem);
       Inputs permuted = inputs;
       permute_rows(permuted.parameter, problem.parameter, order);
       permute_rows(permuted.gradients[0], problem.gradient, order);
       const auto a = drive(subject, problem, inputs), b = drive(subject, problem, permuted);
       if (!a[0].row || !b[0].row || a[0].row->empty()) RC_DISCARD("R is not shown");
       for (int64_t i = 0; i < rows; ++i) {
         const float expected = (*a[0].row)[size_t(order[size_t(i)])], got = (*b[0].row)[size_t(i)];
         if (!(expected == got || (expected != expected && got != got))) RC_FAIL("R is not the permuted one");
       }
     }});

}  // namespace
}  // namespace plumbline::properties
