#include "properties/default_tolerances.h"

#include <array>
#include <cmath>

#include "harness/data.h"
#include "harness/format.h"
#include "properties/drive.h"
#include "reference/dialects/plumbline.h"

namespace plumbline::properties {
namespace {

using harness::DType;
using harness::Problem;

constexpr std::array<const char*, 14> kProblems = {
    "shape=64x64 steps=1 seed=1",
    "shape=64x64 steps=1 seed=1 storage=fp32",
    "shape=64x64 steps=1 seed=1 factored=false",
    "shape=64x64 steps=1 seed=1 param=bf16 grad=bf16",
    "shape=64x64 steps=1 seed=1 param=f16 grad=f16",
    "shape=64x64 steps=1 seed=1 weight_decay=0.1",
    "shape=64x64 steps=1 seed=1 relative_step=true",
    "shape=64x64 steps=1 seed=1 scale_parameter=false beta2=0.999 lr=0.001",
    "shape=64x64 steps=1 seed=1 beta1=0.9 beta2=0.999 momentum_storage=fp32",
    "shape=64x64 steps=1 seed=1 beta1=0.9 momentum_of=update momentum_storage=fp32",
    "shape=64x64 steps=1 seed=1 beta1=0.9 momentum_of=update beta3=0.999 momentum_storage=fp32",
    "shape=64x64 steps=1 seed=1 projection_rank=4",
    "shape=64x64 steps=1 seed=1 projection_rank=4 projection_factored=true limiter_margin=0.01",
    "shape=4x64x64 steps=1 seed=1 maximize=true",
};

struct Tolerance {
  double relative, absolute;
};
Tolerance default_tolerance(DType type) {
  return {type == DType::bfloat16 ? 1.6e-2 : type == DType::float16 ? 1e-3 : 1.3e-6, 1e-5};
}

bool notices(const harness::Subject& subject, const Problem& problem) {
  const Inputs inputs = inputs_of(problem);
  reference::Tensor expected = inputs.parameter.values;
  reference::make_plumbline(problem.options, problem.shape, {}, uint32_t(problem.place))
      .step(expected, inputs.gradients[0].values);
  const std::vector<double> got = parameter_of(problem, drive(subject, problem, inputs)[0]);
  const Tolerance tolerance = default_tolerance(problem.parameter);
  for (size_t i = 0; i < got.size(); ++i) {
    const double want = expected.data[int64_t(i)];
    if (!(std::fabs(got[i] - want) <= tolerance.absolute + tolerance.relative * std::fabs(want))) return true;
  }
  return false;
}

}  // namespace

std::string default_tolerances_notice(const harness::Subject& subject) {
  for (const char* line : kProblems) {
    const Problem problem = harness::parse_problem(line);
    if (!subject.cannot_run(problem).empty()) continue;
    try {
      if (notices(subject, problem)) return line;
    } catch (const std::exception&) {  // a crash is noticed by any test
      return line;
    }
  }
  return {};
}

}  // namespace plumbline::properties
