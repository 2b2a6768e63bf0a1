// How a subject evaluates its sums and averages, as far as error bounds need it: roundings to float32 on the longest
// path of each expression. The subject states these numbers; tests confirm production's with a scalar that counts.
#pragma once

namespace plumbline::harness {

struct Arithmetic {
  int square = 1;           // fl(g^2): 0 where it is exact; projected: of G_low
  int momentum_square = 0;  // fl(M^2)
  int row_additions = 0;    // sum_j g^2; projected: of G_low^2
  int col_additions = 0;    // sum_i g^2
  int average_new = 0;      // from a sum to the new average: / count, + eps1, * w, final addition
  int average_old = 0;      // from the old average to the new one: 1 - w, product, final addition
  int full_new = 0;         // the same for V, without the square
  int full_old = 0;
  int inverse_row = 0;          // 1/R
  int weighted_additions = 0;   // sum_i x^2/R_i, product and addition fused or not
  int row_scale = 0;            // k/sqrt(R), without R's and k's own
  int col_scale = 0;            // 1/sqrt(C)
  int step_coefficient = 0;     // k, step, 1/clip, keep: from double to float32
  int update = 0;               // x*b where there is one, and the final addition
  int decayed = 0;              // p*keep before the final addition
  int full_update = 0;          // x/sqrt(V)
  int momentum_new = 0;         // c1 x: c1 and the final addition
  int momentum_old = 0;         // b1 M: b1, product, final addition
  int clipped_update = 0;       // products beside a', b and 1/clip
  int residual = 0;             // u - M
  int residual_square = 0;      // its square
  int projected_additions = 0;  // of the sum of entry g in double, and its unit
  int low_rank_gradient = 0;    // from double to float32
  int low_rank_update = 0;      // x/(sqrt(V) + eps), or with sqrt(V) = sqrt(R) sqrt(C)/sqrt(mean(R))
  int channel_scale = 0;        // s, from double to float32
  int resolution = 0;           // (b q)^2 of a momentum's codes, given their scale
  int mean_resolution = 0;      // its mean, after the sum
  double log2_absolute_ulps = 0;
  double exp2_ulps = 0;
  int log_decode = 0;       // each relative to (code - 1) r / 254 + 1
  int linear_decode = 0;    // code/255 scale
  int dither_exponent = 0;  // one more of a dithered exponent
  int dither_factor = 0;    // a/sinh a and the product by it
  int uniform_encode = 0;   // x (H/scale)
  int uniform_decode = 0;   // code/H scale
};

}  // namespace plumbline::harness
