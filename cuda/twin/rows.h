// Loops over contiguous values, the host twin's inner work: each becomes vector code and each is one piece of the
// canonical evaluation order (core/geometry.h), so the compiler's choice of width cannot change a bit.
#pragma once
#include <cstdint>

#include "cuda/api/options.h"
#include "cuda/core/average.h"

namespace plumbline::twin {

// n values of `type` from element `first` on as float32: a pointer into the data itself, or into `buffer`.
const float* widen_row(const void* data, Type type, int64_t first, int64_t n, float* buffer);
// Where n parameters are updated, in place or in `buffer`, and the rounding of what was updated there to storage.
float* open_row(void* data, Type type, int64_t first, int64_t n, float* buffer);
void close_row(void* data, Type type, int64_t first, int64_t n, const float* buffer);
// Likewise by 16 random bits each.
void close_row_stochastic(void* data, Type type, int64_t first, int64_t n, const float* buffer, const uint32_t* bits);

// out = multiplier x; out may be x.
void multiply_row(const float* x, float multiplier, float* out, int64_t n);
// Copies x with every NaN the canonical one.
void copy_canonical(const float* x, float* out, int64_t n);

// Bits of the largest |g|, at least `bits`; likewise column by column.
uint32_t largest_magnitude(const float* g, uint32_t bits, int64_t n);
void raise_magnitudes(const float* g, uint32_t* bits, int64_t n);

int64_t count_nonfinite(const float* g, int64_t n);
// Copies g with every element under the non-finite policy as 0; out may be g.
void zero_nonfinite(const float* g, float* out, int64_t n);

// s_j = fl(g_j^2)
void square_row(const float* g, float* s, int64_t n);
// c += s; w = fma(s, inverse, w)
void accumulate_row(const float* s, float inverse, float* c, float* w, int64_t n);
// Likewise where the weighted sum is of other squares: c += s; w = fma(x^2, inverse, w)
void accumulate_row(const float* s, const float* x, float inverse, float* c, float* w, int64_t n);
// x += y, both, column by column: one pair of T over strips
void add_rows(float* c, const float* c_right, float* w, const float* w_right, int64_t n);
// C_j, then q_j = w_j/C_j and b_j. r: of every eight columns, sum_i (b q_ij)^2, below which C_j is not used; or null
void finish_columns(const float* c, const float* w, const float* r, float rows, const core::Weights<float>& weights,
                    core::PerturbedStage stage, float* col, double* q, float* scale, int64_t n);
// x_k += y_k, and what every eighth of y is: sums of (b q_ij)^2
void add_row(float* x, const float* y, int64_t n);
void add_eighths(float* x, const float* y, int64_t n);

// T over n float32 values; over their doubles; over the doubles of their squares.
float tree_sum(const float* x, int64_t n);
double tree_sum_double(const float* x, int64_t n);
double tree_sum_squares(const float* x, int64_t n);

// m <- b1 m + c1 x, not yet stored
void momentum_row(float* m, const float* x, float b1, float c1, int64_t n);
// u_j = g_j b_j a
void clipped_update_row(const float* g, float a, const float* b, float* u, int64_t n);
// u <- u inverse_clip
void clip_full_row(float* u, float inverse_clip, int64_t n);
// s_j = (u_j - m_j)^2
void residual_row(const float* u, const float* m, float* s, int64_t n);

// p <- p keep - a x b_j, with every stored NaN canonical
void update_row(float* p, const float* x, const float* b, float a, float keep, int64_t n);

// Full path: v <- average of v and g^2, u = g / sqrt(v).
void precondition_row(float* v, const float* g, const core::Weights<float>& weights, float* u, int64_t n);
// u = x / sqrt(v), v raised to `floor` unless that is null
void full_update_row(const float* v, const float* floor, const float* x, float* u, int64_t n);
// Projected: v <- average of v and g^2, x <- x / (sqrt(v) + eps), v raised as above; with factored moments x <- x /
// (sqrt(V^) + eps).
void normalize_row(float* v, const float* g, const float* floor, const core::Weights<float>& weights, float eps,
                   float* x, int64_t n);
void normalize_factored_row(float row, const float* col, float inverse, float eps, float* x, int64_t n);
// c_j += g_j^2 in double
void add_squares(const float* g, double* c, int64_t n);
// p <- p keep - e_j g
void update_channels(float* p, const float* g, const float* e, float keep, int64_t n);

// p <- p keep - step u, u or momentum
void update_full_row(float* p, const float* u, float step, float keep, int64_t n);

}  // namespace plumbline::twin
