// The step size stays under its cap.
#include <algorithm>
#include <cmath>

#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Problem;

const RegisterProperty kStepSize({"step_size", "alpha <= min(lr, 1/sqrt(t)) max(eps2, RMS(p)), and equals it",
                                  "a schedule off by one step, RMS(p) taken after the decay, the floor eps2 left out",
                                  [](const harness::Subject& subject) {
                                    const Problem problem = *problems([](Problem& p) {
                                      p.options.relative_step = true;
                                      p.options.lr = std::max(p.options.lr, 0.3);
                                      if (p.data.regime == harness::Regime::nonfinite)
                                        p.data.regime = harness::Regime::gaussian;
                                    });
                                    const Inputs inputs = inputs_of(problem);
                                    std::vector<double> before(inputs.parameter.values.data.begin(),
                                                               inputs.parameter.values.data.end());
                                    for (const auto& seen : drive(subject, problem, inputs)) {
                                      double squares = 0;
                                      for (const double p : before) squares += p * p;
                                      const double rms = std::sqrt(squares / double(before.size()));
                                      if (!std::isfinite(rms)) break;  // parameters ran away, which decay can do
                                      const double cap =
                                          std::min(problem.options.lr, 1 / std::sqrt(double(seen.steps_taken)));
                                      const double expected = problem.options.scale_parameter
                                                                  ? cap * std::max(problem.options.eps2, rms)
                                                                  : cap;
                                      // doubles on both sides: a sum of n squares in another order, and a handful of
                                      // operations
                                      const double slack = (double(before.size()) + 8) * 0x1p-53;
                                      if (!seen.step_size) throw NothingToJudge("no step size is shown");
                                      RC_ASSERT(std::fabs(*seen.step_size - expected) <= slack * expected);
                                      before = parameter_of(problem, seen);
                                    }
                                  }});

}  // namespace
}  // namespace plumbline::properties
