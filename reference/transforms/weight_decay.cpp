#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {

void WeightDecay::apply(Step& step) {
  const double k = options_.by == DecayScale::lr    ? options_.lr
                   : options_.by == DecayScale::rho ? step.rho
                                                    : step.step_size;
  const double keep = 1 - options_.weight_decay * k;
  if (step.record) step.record->keep = keep;
  if (keep != 1) step.parameter.data *= keep;
}

}  // namespace plumbline::reference
