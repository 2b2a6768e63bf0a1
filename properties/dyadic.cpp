// Data on which every operation is exact: no rounding, so no tolerance. What differs is an index or a race.
#include <cmath>
#include <random>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kDyadic({"dyadic", "g = +-2^a with lr a power of two gives p' = p - lr sign(g), exactly",
                                "a wrong index, a missing tail, an element updated twice or not at all, a race",
                                [](const harness::Subject& subject) {
                                  const Problem problem = *problems(
                                      [](Problem& p) {
                                        p.parameter = harness::DType::float32;
                                        p.storage = harness::Storage::fp32;
                                        p.options = {};
                                        round_to_nearest(p);
                                        p.options.scale_parameter = false;
                                        p.options.clip = 0;
                                        p.options.lr = 0x1p-4;
                                        p.options.beta2 = 0;  // w = 1: no weight that rounds
                                        p.data.regime = harness::Regime::gaussian;
                                        p.steps = std::min<int64_t>(p.steps, 3);
                                      },
                                      1 << 14);
                                  const int exponent = *anywhere(-8, 4);
                                  const auto seed = *rc::gen::arbitrary<uint32_t>();
                                  std::mt19937 engine(seed);
                                  Inputs inputs = inputs_of(problem);
                                  // whole numbers up to 2^12 in steps of lr: sums stay exact
                                  change_values(inputs.parameter, problem.parameter, [&](double, int64_t) {
                                    return double(int64_t(engine() % 8192) - 4096) * 0x1p-4;
                                  });
                                  std::vector<double> expected(inputs.parameter.values.data.begin(),
                                                               inputs.parameter.values.data.end());
                                  for (harness::Realized& g : inputs.gradients)
                                    change_values(g, problem.gradient, [&](double, int64_t) {
                                      return std::ldexp(engine() % 2 ? 1.0 : -1.0, exponent);
                                    });
                                  const auto seen = drive(subject, problem, inputs);
                                  for (size_t t = 0; t < seen.size(); ++t) {
                                    const auto after = parameter_of(problem, seen[t]);
                                    for (size_t i = 0; i < after.size(); ++i) {
                                      expected[i] -= std::copysign(problem.options.lr,
                                                                   inputs.gradients[t].values.data[int64_t(i)]);
                                      if (after[i] != expected[i]) RC_FAIL("element " + std::to_string(i) + " differs");
                                    }
                                  }
                                },
                                60});

}  // namespace
}  // namespace plumbline::properties
