// Norm-growth limiter: the norm of an update grows by at most 1 + margin from one step to the next; l is the divisor.
//                                                          [Chen et al. 2024, arXiv 2410.01623 (Fira), eq. 10]
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

constexpr double kLimiterFloor = 1e-8;  // added to the previous norm

// max(nu/(nu' + 1e-8), 1 + margin)/(1 + margin); 1 where no norm was recorded yet (nu' = 0). A NaN stays one.
PLUMBLINE_HD double limiter(double norm, double previous, double margin) {
  if (!(previous > 0.0) && !is_mutant(Mutant::limiter_first_step)) return 1.0;
  const double growth = norm / (previous + kLimiterFloor),
               most = is_mutant(Mutant::limiter_margin_missing) ? 1.0 : 1.0 + margin;
  if (is_mutant(Mutant::limiter_inverted)) return (growth <= most ? growth : most) / most;
  return (growth <= most ? most : growth) / most;
}

}  // namespace plumbline::core
