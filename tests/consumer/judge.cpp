// One case through the harness, as a program of somebody's own would ask for it; and the reference by itself.
#include <cstdio>

#include "harness/case.h"
#include "harness/problem.h"
#include "harness/subject.h"
#include "reference/tensor.h"

int main() {
  using namespace plumbline;
  const reference::Tensor ones{{3, 5}, Eigen::ArrayXd::Ones(15)};  // memory of ours, freed by the library, and back
  const auto subject = harness::make_subject("host");
  const harness::CaseResult result =
      harness::run_case(harness::parse_problem("shape=37x129 storage=al8 beta1=0.9 steps=3 seed=7"), *subject);
  std::printf("rms %g, %s, %zu quantities, %016llx\n", reference::rms(ones), to_string(result.verdict),
              result.quantities.size(), static_cast<unsigned long long>(result.bits));
  return result.verdict == harness::Verdict::pass && result.quantities.size() > 5 ? 0 : 1;
}
