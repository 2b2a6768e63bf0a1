#include "cuda/twin/rows.h"

#include <immintrin.h>

#include <algorithm>

#include "cuda/core/confidence.h"
#include "cuda/core/momentum.h"
#include "cuda/core/number.h"
#include "cuda/core/projection.h"
#include "cuda/core/resolution.h"
#include "cuda/core/tree.h"
#include "cuda/core/update.h"

namespace plumbline::twin {
namespace {

template <class T>
void widen_all(const T* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = core::widen(x[i]);
}
template <class T>
void narrow_all(const float* __restrict x, T* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) core::narrow(x[i], y[i]);
}

template <class T>
void narrow_stochastic_all(const float* __restrict x, const uint32_t* __restrict bits, T* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) core::narrow_stochastic(x[i], bits[i], y[i]);
}

// float16 has instructions of its own, which the compiler does not find in core::widen and core::narrow.
constexpr int64_t kLanes = 8;
void widen_all(const core::f16* x, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
  }
  for (; i < n; ++i) y[i] = core::widen(x[i]);
}
void narrow_all(const float* x, core::f16* y, int64_t n) {
  int64_t i = 0;
  const __m256 nan = _mm256_set1_ps(core::canonical_nan());  // narrows to the canonical float16 NaN
  for (; i + kLanes <= n && !core::is_mutant(core::Mutant::float16_flushed); i += kLanes) {
    const __m256 v = _mm256_loadu_ps(x + i), stored = _mm256_blendv_ps(v, nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i), _mm256_cvtps_ph(stored, _MM_FROUND_TO_NEAREST_INT));
  }
  for (; i < n; ++i) core::narrow(x[i], y[i]);
}

constexpr int kLeaf = 256;  // values that one call folds on the stack; a power of two

// One level of T.
template <class F>
void fold(const F* __restrict x, F* __restrict y, int64_t half) {
  for (int64_t i = 0; i < half; ++i) y[i] = x[2 * i] + x[2 * i + 1];
}
// T over kLeaf values of which `y` holds the sums of pairs, destroying them.
template <class F>
F fold_pairs(F* y) {
  F x[kLeaf / 4];
  fold(y, x, kLeaf / 4);
  fold(x, y, kLeaf / 8);
  fold(y, x, kLeaf / 16);
  return core::quad(core::quad(x[0], x[1], x[2], x[3]), core::quad(x[4], x[5], x[6], x[7]),
                    core::quad(x[8], x[9], x[10], x[11]), core::quad(x[12], x[13], x[14], x[15]));
}

// T over term(x_i) for n values, a leaf at a time. Whole leaves are combined as they come: a finished pair of subtrees
// of one height becomes a subtree of the next, as digits carry.
template <class F, class Term>
F tree_of_terms(const float* __restrict x, int64_t n, Term term) {
  alignas(64) F leaf[kLeaf];
  F carry[48];
  int64_t leaves = 0;
  int64_t first = 0;
  for (; n - first >= kLeaf; first += kLeaf) {
    for (int64_t i = 0; i < kLeaf / 2; ++i) leaf[i] = term(x[first + 2 * i]) + term(x[first + 2 * i + 1]);
    F sum = fold_pairs(leaf);
    int height = 0;
    for (int64_t digits = leaves++; digits & 1; digits >>= 1) sum = carry[height++] + sum;
    carry[height] = sum;
  }
  // What is left, padded with +0, and then the open subtrees, whose right neighbours are padding.
  F sum = F(0);
  bool open = false;
  if (first < n) {
    for (int64_t i = first; i < n; ++i) leaf[i - first] = term(x[i]);
    sum = core::tree_in_place(leaf, n - first);
    open = true;
  }
  int height = 0;
  for (int64_t digits = leaves; digits != 0; digits >>= 1, ++height) {
    if ((digits & 1) == 0) continue;
    sum = open ? carry[height] + sum : carry[height];
    open = true;
  }
  return sum;
}

}  // namespace

const float* widen_row(const void* data, Type type, int64_t first, int64_t n, float* buffer) {
  if (type == Type::float32) return static_cast<const float*>(data) + first;
  if (type == Type::bfloat16) {
    widen_all(static_cast<const core::bf16*>(data) + first, buffer, n);
  } else {
    widen_all(static_cast<const core::f16*>(data) + first, buffer, n);
  }
  return buffer;
}

float* open_row(void* data, Type type, int64_t first, int64_t n, float* buffer) {
  if (type == Type::float32) return static_cast<float*>(data) + first;
  widen_row(data, type, first, n, buffer);
  return buffer;
}

void close_row(void* data, Type type, int64_t first, int64_t n, const float* buffer) {
  if (type == Type::bfloat16) {
    narrow_all(buffer, static_cast<core::bf16*>(data) + first, n);
  } else if (type == Type::float16) {
    narrow_all(buffer, static_cast<core::f16*>(data) + first, n);
  }
}

void close_row_stochastic(void* data, Type type, int64_t first, int64_t n, const float* buffer, const uint32_t* bits) {
  if (type == Type::bfloat16) {
    narrow_stochastic_all(buffer, bits, static_cast<core::bf16*>(data) + first, n);
  } else if (type == Type::float16) {
    narrow_stochastic_all(buffer, bits, static_cast<core::f16*>(data) + first, n);
  }
}

void multiply_row(const float* x, float multiplier, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * multiplier;
}
void copy_canonical(const float* __restrict x, float* __restrict out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = core::canonical(x[i]);
}

uint32_t largest_magnitude(const float* __restrict g, uint32_t bits, int64_t n) {
  for (int64_t i = 0; i < n; ++i) bits = std::max(bits, core::magnitude_bits(g[i]));
  return bits;
}

void raise_magnitudes(const float* __restrict g, uint32_t* __restrict bits, int64_t n) {
  for (int64_t i = 0; i < n; ++i) bits[i] = std::max(bits[i], core::magnitude_bits(g[i]));
}

int64_t count_nonfinite(const float* g, int64_t n) {
  constexpr int64_t kRun = 1 << 16;  // 32-bit counters: as wide as the values
  int64_t count = 0;
  for (int64_t first = 0; first < n; first += kRun) {
    const int64_t last = std::min(n, first + kRun);
    uint32_t run = 0;
    for (int64_t i = first; i < last; ++i) run += uint32_t(core::is_nonfinite(g[i]));
    count += run;
  }
  return count;
}

void zero_nonfinite(const float* g, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = core::is_nonfinite(g[i]) ? 0.0f : g[i];
}

void square_row(const float* __restrict g, float* __restrict s, int64_t n) {
  for (int64_t i = 0; i < n; ++i) s[i] = core::square(g[i]);
}

void accumulate_row(const float* __restrict s, float inverse, float* __restrict c, float* __restrict w, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    c[i] = c[i] + s[i];
    w[i] = core::add_weighted(s[i], inverse, w[i]);
  }
}

void accumulate_row(const float* __restrict s, const float* __restrict x, float inverse, float* __restrict c,
                    float* __restrict w, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    c[i] = c[i] + s[i];
    w[i] = core::add_weighted(core::square(x[i]), inverse, w[i]);
  }
}

void add_rows(float* __restrict c, const float* __restrict c_right, float* __restrict w,
              const float* __restrict w_right, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    c[i] = c[i] + c_right[i];
    w[i] = w[i] + w_right[i];
  }
}

void finish_columns(const float* __restrict c, const float* __restrict w, const float* __restrict r, float rows,
                    const core::Weights<float>& weights, [[maybe_unused]] core::PerturbedStage stage,
                    float* __restrict col, double* __restrict q, float* __restrict scale, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    col[j] = core::canonical(core::perturbed(stage, core::average(col[j], c[j], rows, weights)));
    scale[j] = col[j];
  }
  for (int64_t j = 0; r != nullptr && j < n; ++j) scale[j] = core::used_col(scale[j], r[j / 8], rows);
  for (int64_t j = 0; j < n; ++j) {
    q[j] = core::norm_term(w[j], scale[j]);
    scale[j] = core::col_scale(scale[j]);
  }
}
void add_row(float* __restrict x, const float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] + y[i];
}
void add_eighths(float* __restrict x, const float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] + y[8 * i];
}

float tree_sum(const float* x, int64_t n) {
  return tree_of_terms<float>(x, n, [](float v) { return v; });
}
double tree_sum_double(const float* x, int64_t n) {
  return tree_of_terms<double>(x, n, [](float v) { return double(v); });
}
double tree_sum_squares(const float* x, int64_t n) {
  return tree_of_terms<double>(x, n, [](float v) { return core::norm_square(v); });
}

void momentum_row(float* __restrict m, const float* __restrict x, float b1, float c1, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    m[i] = core::perturbed(core::PerturbedStage::momentum, core::momentum(m[i], x[i], b1, c1));
}
void clipped_update_row(const float* __restrict g, float a, const float* __restrict b, float* __restrict u, int64_t n) {
  for (int64_t j = 0; j < n; ++j) u[j] = core::clipped_update(g[j], a, b[j]);
}
void clip_full_row(float* u, float inverse_clip, int64_t n) {
  for (int64_t i = 0; i < n; ++i) u[i] = core::clipped_full_update(u[i], inverse_clip);
}
void residual_row(const float* __restrict u, const float* __restrict m, float* __restrict s, int64_t n) {
  for (int64_t j = 0; j < n; ++j) s[j] = core::residual_square(u[j], m[j]);
}

void update_row(float* __restrict p, const float* __restrict x, const float* __restrict b, float a, float keep,
                int64_t n) {
  for (int64_t j = 0; j < n; ++j)
    p[j] = core::canonical(core::perturbed(core::PerturbedStage::parameter, core::apply(p[j], x[j], a, b[j], keep)));
}

void precondition_row(float* __restrict v, const float* __restrict g, const core::Weights<float>& weights,
                      float* __restrict u, int64_t n) {
  const core::Weights<float> h = weights;
  for (int64_t i = 0; i < n; ++i) {
    v[i] = core::perturbed(core::PerturbedStage::second_moment, core::full_average(v[i], g[i], h));
    u[i] = core::full_update(g[i], v[i]);
  }
}

void full_update_row(const float* __restrict v, const float* __restrict floor, const float* __restrict x,
                     float* __restrict u, int64_t n) {
  if (floor != nullptr) {
    for (int64_t i = 0; i < n; ++i) u[i] = core::full_update(x[i], core::used_moment(v[i], floor[i]));
  } else {
    for (int64_t i = 0; i < n; ++i) u[i] = core::full_update(x[i], v[i]);
  }
}

void normalize_row(float* __restrict v, const float* __restrict g, const float* __restrict floor,
                   const core::Weights<float>& weights, float eps, float* __restrict x, int64_t n) {
  const core::Weights<float> h = weights;
  for (int64_t i = 0; i < n; ++i)
    v[i] = core::perturbed(core::PerturbedStage::low_rank_second_moment, core::full_average(v[i], g[i], h));
  if (floor != nullptr) {
    for (int64_t i = 0; i < n; ++i) x[i] = core::low_rank_update(x[i], core::used_moment(v[i], floor[i]), eps);
  } else {
    for (int64_t i = 0; i < n; ++i) x[i] = core::low_rank_update(x[i], v[i], eps);
  }
}
void normalize_factored_row(float row, const float* __restrict col, float inverse, float eps, float* __restrict x,
                            int64_t n) {
  for (int64_t j = 0; j < n; ++j) x[j] = core::low_rank_factored_update(x[j], row, col[j], inverse, eps);
}
void add_squares(const float* __restrict g, double* __restrict c, int64_t n) {
  for (int64_t j = 0; j < n; ++j) c[j] = c[j] + core::norm_square(g[j]);
}
void update_channels(float* __restrict p, const float* __restrict g, const float* __restrict e, float keep, int64_t n) {
  for (int64_t j = 0; j < n; ++j)
    p[j] =
        core::canonical(core::perturbed(core::PerturbedStage::parameter, core::apply_channel(p[j], g[j], e[j], keep)));
}

void update_full_row(float* __restrict p, const float* __restrict u, float step, float keep, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    p[i] = core::canonical(core::perturbed(core::PerturbedStage::parameter, core::apply_full(p[i], u[i], step, keep)));
}

}  // namespace plumbline::twin
