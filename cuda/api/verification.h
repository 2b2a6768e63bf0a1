// What a verifier reads: the quantities of a step, and how production evaluates them. Training needs none of it.
#pragma once
#include <cstdint>
#include <vector>

namespace plumbline {

// What the last step of one tensor computed on the way, for verification; empty vectors where the path has none. A
// skipped step has step, skipped, multiplier and nonfinite alone.
struct StepRecord {
  int64_t step = 0;  // t of that step (also when it was skipped)
  bool skipped = false;
  float multiplier = 1;      // of the gradient: as it was set, or 1/scale of a scaled loss
  int64_t nonfinite = 0;     // gradient elements that fell under the non-finite policy
  double parameter_rms = 0;  // RMS(p) before the step; NaN where the options need none
  double update_rms = 0;     // RMS(u) before the clip; NaN where neither the clip nor a limiter of u needs it
  double clip = 1;           // max(1, RMS(u)/d)
  double step_size = 0;      // alpha_t, without bias correction
  double bias = 1;           // its bias correction
  double update_norm = 0;    // norm that the limiter sees: after clip, momentum and confidence; NaN without a limiter
  double limiter = 1;        // its divisor l
  float keep = 1;            // 1 - weight_decay * k
  // As this step used them, before they became codes. Momentum is used as it is stored: see its slot.
  std::vector<float> row, col;                        // (slices x m), (slices x n): R, C
  std::vector<float> confidence_row, confidence_col;  // likewise: averages of (u - M)^2, only with record_second_moment
  std::vector<float> low_rank_gradient;               // projected gradient, (m x r) or (r x n), likewise only
  std::vector<float> low_rank_row, low_rank_col;      // its factored second moment
  std::vector<float> channel_scale;                   // s (channels), or one by tensor
  // only with record_second_moment
  std::vector<float> second_moment;                // full path: V
  std::vector<float> low_rank_second_moment;       // unfactored second moment of the projected gradient
  std::vector<float> momentum, low_rank_momentum;  // beta1 M + (1 - beta1) x before it became codes
};

// How production evaluates its sums and averages: roundings to float32 on the longest path of each expression. A
// verifier derives error bounds from it; tests confirm every number with a scalar that counts roundings. A field is 0
// where the tensor's path does not have its expression.
struct Arithmetic {
  int square = 1;                  // fl(g^2): 1 for float32 gradients, 0 for 16-bit ones (exact); projected: of G_low
  int momentum_square = 0;         // fl(M^2) in the weighted sums of M: 1
  int row_additions = 0;           // additions on the longest path of sum_j; projected: of G_low^2 (CAME: as of g^2)
  int col_additions = 0;           // additions on the longest path of sum_i, likewise
  int average_new = 0;             // after the sum, what the new sample passes: / count, + eps1, w, fused add
  int average_old = 0;             // what the old average passes: (1-w), product, fused add
  int full_new = 0, full_old = 0;  // the same for V (projected: of G_low), the square not counted
  int inverse_row = 0;             // 1/R_i after R_i
  int weighted_additions = 0;      // fused additions on the longest path of sum_i x^2/R_i, x = g or M
  int row_scale = 0;               // a_i = k / sqrt(R_i): roundings beside R's own and k's
  int col_scale = 0;               // b_j = 1 / sqrt(C_j), likewise
  int step_coefficient = 0;        // k, k', step, e_c, 1/clip, keep: roundings of a double to float32
  int update = 0;   // what is subtracted: factored x*b after a_i, b_j (none with momentum of the update alone), fused
                    // add (without the parameter's own storage rounding)
  int decayed = 0;  // p * keep before the fused add
  int full_update = 0;  // u = x / sqrt(V): roundings beside V's own
  // momentum before it is stored: fma(c1, x, b1 M)
  int momentum_new = 0;     // what c1 x passes: c1, fused add
  int momentum_old = 0;     // what b1 M passes: b1, product, fused add
  int clipped_update = 0;   // u_c: after a'_i, b_j two products; full path after u the product by 1/clip
  int residual = 0;         // u_c - M: the difference, an error relative to it
  int residual_square = 0;  // and its square
  // projected
  int projected_additions = 0;  // double roundings (2^-53) on the longest path of the sum of entry g, and its unit
  int low_rank_gradient = 0;    // to float32
  int low_rank_update =
      0;                  // N = x / (sqrt(V) + eps), x / (sqrt(R) sqrt(C)/sqrt(mean R) + eps): beside V's, R's, C's own
  int channel_scale = 0;  // s: a double to float32
  int resolution = 0;     // (b q)^2 of a momentum's codes: b/H, its product with the scale, the square
  int mean_resolution = 0;        // its mean, after the sum: the quotient
  double log2_absolute_ulps = 0;  // deterministic log2: error in ulps of its result
  double exp2_ulps = 0;           // deterministic exp2
  int log_decode =
      0;  // roundings of the exponent (code - 1) * r / 254 + fraction(lo), each relative to (code - 1) * r / 254 + 1
  int linear_decode = 0;    // roundings of code / 255 * scale
  int dither_exponent = 0;  // one more of the exponent where it is dithered, relative to the code
  int dither_factor = 0;    // roundings of the factor a/sinh a and of the product by it
  int uniform_encode = 0;   // x (H/scale): quotient, product; with dither one more, of the sum with delta
  int uniform_decode = 0;   // (code/H) scale: quotient, product
};

}  // namespace plumbline
