#include "cuda/plan/arithmetic.h"

#include <algorithm>

#include "cuda/core/codec.h"

namespace plumbline {

Arithmetic describe_arithmetic(const TensorPlan& t) {
  const bool factored = t.path == Path::factored;
  Arithmetic a;
  // bfloat16 has 8 significant bits and float16 11: the square has at most 22. (What underflows below 2^-149 is not a
  // relative error and is bounded apart.)
  a.square = t.gradient == Type::float32 ? 1 : 0;
  if (factored) {
    // T over n columns: the first column always meets a real neighbour at every level.
    a.row_additions = core::tree_height(t.cols);
    // The first strip is a full one: its first row is added to an exact 0, which leaves one addition fewer than rows;
    // then T over strips. For w the first addition is the rounding of its product, which counts.
    const int rows = std::min(t.strip_rows, t.rows), height = core::tree_height(t.strips);
    a.col_additions = rows - 1 + height;
    a.weighted_additions = rows + height;
    // fma(w, sum / count + eps1, (1-w) old): / count, + eps1, rounding of w, fma; rounding of 1-w, product, fma
    a.average_new = 4;
    a.average_old = 3;
    a.inverse_row = 1;
    // k / sqrt(R) and 1 / sqrt(C): root, quotient
    a.row_scale = 2;
    a.col_scale = 2;
    // fma(-a, g b, p keep): the product, the fused addition
    a.update = 2;
  } else {
    // fma(w, g^2 + eps1, (1-w) old): + eps1, rounding of w, fma; rounding of 1-w, product, fma
    a.full_new = 3;
    a.full_old = 3;
    // g / sqrt(V): root, quotient
    a.full_update = 2;
    // fma(-step, u, p keep): the fused addition alone
    a.update = 1;
  }
  a.step_coefficient = 1;
  // without decay keep is 1 and p keep is exact
  a.decayed = t.hyper.weight_decay > 0.0 ? 1 : 0;
  a.log2_absolute_ulps = core::kLog2Ulps;
  a.exp2_ulps = core::kExp2Ulps;
  // fma(code - 1, fl(r/254), fraction); fl(fl(code/255) scale)
  a.log_decode = 2;
  a.linear_decode = 2;
  return a;
}

}  // namespace plumbline
