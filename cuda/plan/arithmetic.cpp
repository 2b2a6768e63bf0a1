#include "cuda/plan/arithmetic.h"

#include <algorithm>

#include "cuda/core/codec.h"
#include "cuda/core/projection.h"

namespace plumbline {

namespace {

void describe_factored(const TensorPlan& t, Arithmetic& a) {
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
  // fma(-a, x b, p keep): the product, the fused addition; of momentum alone, fma(-step, M, p keep), the latter
  a.update = t.hyper.momentum_of_update && !t.hyper.has_confidence ? 1 : 2;
  if (t.hyper.momentum && (!t.hyper.momentum_of_update || t.hyper.has_confidence)) a.momentum_square = 1;
  if (t.hyper.momentum_of_update) a.clipped_update = 2;  // g b a'
  if (t.hyper.has_confidence) a.residual = a.residual_square = 1;
}

void describe_full(const TensorPlan& t, Arithmetic& a) {
  // fma(w, g^2 + eps1, (1-w) old): + eps1, rounding of w, fma; rounding of 1-w, product, fma
  a.full_new = 3;
  a.full_old = 3;
  // x / sqrt(V): root, quotient
  a.full_update = 2;
  // fma(-step, u, p keep): the fused addition alone
  a.update = 1;
  if (t.hyper.momentum_of_update) a.clipped_update = 1;  // u (1/clip)
}

void describe_projected(const TensorPlan& t, Arithmetic& a) {
  a.square = 1;  // G_low is float32
  // the sum is an integer; 1/sqrt(8 r) has two roundings in double (8 r is exact) and the product by it one
  a.projected_additions = 3;
  a.low_rank_gradient = 1;
  a.channel_scale = 1;
  a.update = 1;  // fma(-e, g, p keep)
  if (t.hyper.projection_factored) {
    a.row_additions = core::tree_height(t.low_cols);
    a.col_additions = core::tree_height(t.low_rows);
    a.average_new = 4;
    a.average_old = 3;
    // two roots, their product, 1/sqrt(mean R) and its product, + eps, quotient
    a.low_rank_update = 7;
  } else {
    a.full_new = 3;
    a.full_old = 3;
    a.low_rank_update = 3;  // root, + eps, quotient
  }
}

}  // namespace

Arithmetic describe_arithmetic(const TensorPlan& t) {
  Arithmetic a;
  // bfloat16 has 8 significant bits and float16 11: the square has at most 22. (What underflows below 2^-149 is not a
  // relative error and is bounded apart. A gradient multiplier other than a power of two rounds g itself.)
  a.square = t.gradient == Type::float32 ? 1 : 0;
  if (t.path == Path::factored) describe_factored(t, a);
  if (t.path == Path::full) describe_full(t, a);
  if (t.path == Path::projected) describe_projected(t, a);
  a.step_coefficient = 1;
  // without decay keep is 1 and p keep is exact
  a.decayed = t.hyper.weight_decay > 0.0 ? 1 : 0;
  if (t.hyper.momentum) {
    // fma(c1, x, b1 M): rounding of c1, fma; rounding of b1, product, fma
    a.momentum_new = 2;
    a.momentum_old = 3;
    // q = fl(scale fl(b/H)) twice, and its square; the mean of squares
    a.resolution = 5;
    a.mean_resolution = 1;
  }
  a.log2_absolute_ulps = core::kLog2Ulps;
  a.exp2_ulps = core::kExp2Ulps;
  // fma(code - 1, fl(r/254), fraction); fl(fl(code/255) scale)
  a.log_decode = 2;
  a.linear_decode = 2;
  // fl(code - offset - delta); rounding of the factor, product
  a.dither_exponent = 1;
  a.dither_factor = 2;
  // x fl(H/scale); fl(code/H) scale
  a.uniform_encode = 2;
  a.uniform_decode = 2;
  return a;
}

}  // namespace plumbline
