// CAME: the update's momentum divided by its confidence, a factored average of the squared residual u - M. The averages
// are those of average.h with beta3 and eps_came in place of the second moment's; a row's and a column's scale and the
// norm are those of update.h, of M.                                             [Luo et al. 2023, ACL, alg. 2]
#pragma once
#include "cuda/core/mutant.h"
#include "cuda/core/ops.h"

namespace plumbline::core {

// S_ij = (u_ij - M_ij)^2
template <class F>
PLUMBLINE_HD F residual_square(F u, F m) {
  const F d = is_mutant(Mutant::confidence_of_sum) ? u + m : u - m;
  return d * d;
}

}  // namespace plumbline::core
