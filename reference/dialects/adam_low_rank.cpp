#include "reference/dialects/adam_low_rank.h"

#include <stdexcept>
#include <string>

#include "reference/transforms/full_moment.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/precondition.h"

namespace plumbline::reference {

Chain adam_chain(const Shape& shape, double beta1, double beta2, double eps) {
  Chain chain;
  chain.add<Momentum>(shape, beta1);
  chain.add<FullMoment>(shape, FullMomentOptions{.schedule = DecaySchedule::fixed(beta2)});
  chain.add<Precondition>(PreconditionOptions{.eps = eps});
  return chain;
}

void require_matrix(const Shape& shape) {
  if (shape.size() != 2)
    throw std::invalid_argument("shape: " + std::to_string(shape.size()) + " axes, expected a matrix where rank > 0");
}

}  // namespace plumbline::reference
