// However the same steps are started, they leave the same bits.
#include <fmt/format.h>

#include "harness/ways.h"
#include "properties/drive.h"
#include "properties/problems.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

using harness::Observation;

const RegisterProperty kSameBits(
    {"same_bits",
     "a second run, one tensor of several, a checkpoint before every step, other cores or schedules of threads, a "
     "stream "
     "of its own and a replayed graph leave the bits of a plain run",
     "sums in the order of arrival, a scalar of the host in a graph, state that a checkpoint lacks, a work area shared "
     "by two tensors",
     [](const harness::Subject& subject) {
       const harness::Problem problem = *problems();
       const auto* offers = dynamic_cast<const harness::OffersWays*>(&subject);
       if (offers == nullptr || offers->ways().empty()) throw NothingToJudge("the subject runs in one way");
       const Inputs inputs = inputs_of(problem);
       const std::vector<Observation> plain = drive(subject, problem, inputs);
       const harness::Way way = *rc::gen::elementOf(offers->ways());
       RC_TAG(harness::to_string(way));
       const auto session = offers->start(problem, inputs.parameter.bytes, way);
       for (size_t t = 0; t < plain.size(); ++t) {
         Observation seen;
         session->step(inputs.gradients[t].bytes, seen);
         if (!same_bits(seen, plain[t])) RC_FAIL(fmt::format("{}: step {} differs", harness::to_string(way), t + 1));
       }
     },
     90});

}  // namespace
}  // namespace plumbline::properties
