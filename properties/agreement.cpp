// Every step lies within the derived bounds of the reference, from the subject's own state and from the start alike.
#include <fmt/format.h>

#include "harness/case.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

const RegisterProperty kAgreement({"agreement",
                                   "every quantity of every step lies within its derived bound, locally and globally",
                                   "any wrong arithmetic: it names the first stage that left its bound",
                                   [](const harness::Subject& subject) {
                                     const harness::Problem problem = *problems();
                                     const harness::CaseResult result = harness::run_case(problem, subject);
                                     RC_TAG(fmt::format("storage={}", to_string(problem.effective_storage())));
                                     // a tiny case may be vacuous; the suite of generated cases forbids it
                                     if (result.verdict == harness::Verdict::vacuous) RC_DISCARD(result.reason);
                                     if (is_red(result.verdict)) RC_FAIL(result.reason);
                                   },
                                   150, true});

}  // namespace
}  // namespace plumbline::properties
