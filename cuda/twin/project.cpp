#include "cuda/twin/project.h"

#include <immintrin.h>

#include <algorithm>

#include "cuda/core/projection.h"

namespace plumbline::twin {
namespace {

constexpr int kChannels = 16;  // channels of a tile: their sums are what the inner loop keeps in registers,
constexpr int kRanks = 4;      // for so many k
constexpr int kChunk = 256;    // terms that lie packed at once

// Entries as the inner loop reads them: tile k/4, then j, then k%4; those beyond the rank are 0.
void make_entries(const TensorPlan& t, uint32_t refresh, int64_t tile, int8_t* entries) {
  constexpr int kCalls = 8;  // Philox calls side by side, so that the rounds become vector code
  int8_t* const out = entries + tile * kRanks * t.reduced;
  for (int k = 0; k < kRanks; ++k) {
    const auto rank = int(tile * kRanks + k);
    for (int64_t j = 0; j < t.reduced; j += 4 * kCalls) {
      core::PhiloxWords words[kCalls];
      for (int lane = 0; lane < kCalls; ++lane)
        words[lane] = core::projection_words(t.projection_seed, t.index, refresh, j / 4 + lane, rank);
      const int64_t count = std::min<int64_t>(4 * kCalls, t.reduced - j);
      for (int i = 0; i < count; ++i) {
        const int entry = core::projection_entry(core::word_of(words[i / 4], i % 4));
        out[(j + i) * kRanks + k] = int8_t(rank < t.rank ? entry : 0);
      }
    }
  }
}

// sums[k][c] += sum_j x[j][c] e[j][k] over n terms: integers below 2^48, so nothing rounds.
void add_chunk(const float* __restrict x, const int8_t* __restrict e, int64_t n, double* __restrict total) {
  __m256d sum[kRanks][kChannels / 4];
  for (auto& row : sum) {
    for (__m256d& lane : row) lane = _mm256_setzero_pd();
  }
  for (int64_t j = 0; j < n; ++j) {
    int32_t four;
    __builtin_memcpy(&four, e + j * kRanks, sizeof four);
    alignas(32) double entry[kRanks];
    _mm256_store_pd(entry, _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(_mm_cvtsi32_si128(four))));
    for (int c = 0; c < kChannels / 4; ++c) {
      const __m256d g = _mm256_cvtps_pd(_mm_loadu_ps(x + j * kChannels + 4 * c));
      for (int k = 0; k < kRanks; ++k) sum[k][c] = _mm256_fmadd_pd(g, _mm256_set1_pd(entry[k]), sum[k][c]);
    }
  }
  for (int k = 0; k < kRanks; ++k) {
    for (int c = 0; c < kChannels / 4; ++c) {
      double* at = total + k * kChannels + 4 * c;
      _mm256_storeu_pd(at, _mm256_add_pd(_mm256_loadu_pd(at), sum[k][c]));
    }
  }
}

// Elements of a step as they are read, and the channels' grids.
struct Source {
  const TensorPlan& t;
  const Gradient& gradient;
  const uint32_t* largest;

  // n elements from `element` on.
  const float* read(int64_t element, int64_t n, float* buffer) const {
    return t.nonfinite == Nonfinite::zero ? gradient.read_zeroed(element, n, buffer)
                                          : gradient.read(element, n, buffer);
  }
  float at(int64_t channel, int64_t j) const {
    float x;
    return *read(t.reduces_columns ? channel * t.cols + j : j * t.cols + channel, 1, &x);
  }
};

// Terms [j, j + n) of channels [first, first + channels) on their grids: x[j][c], channels that are missing as 0.
void pack(const Source& source, int64_t first, int64_t channels, int64_t j, int64_t n, float* __restrict x) {
  const TensorPlan& t = source.t;
  float buffer[kChunk];
  alignas(32) float coarse[kChannels] = {}, fine[kChannels] = {};
  for (int64_t c = 0; c < channels; ++c) {
    const core::ChannelGrid grid = core::channel_grid(source.largest[first + c]);
    coarse[c] = grid.coarse, fine[c] = grid.fine;
  }
  if (channels < kChannels) std::fill_n(x, n * kChannels, 0.0f);
  if (t.reduces_columns) {
    for (int64_t c = 0; c < channels; ++c) {
      const float* g = source.read((first + c) * t.cols + j, n, buffer);
      for (int64_t i = 0; i < n; ++i) x[i * kChannels + c] = g[i];
    }
  } else {
    for (int64_t i = 0; i < n; ++i)
      std::copy_n(source.read((j + i) * t.cols + first, channels, buffer), channels, x + i * kChannels);
  }
  const bool truncates = core::is_mutant(core::Mutant::grid_truncated);
  for (int64_t i = 0; i < n * kChannels; i += 8) {
    const __m256 on_grid = _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_load_ps(coarse + i % kChannels)),
                                         _mm256_load_ps(fine + i % kChannels));
    _mm256_storeu_ps(x + i, truncates ? _mm256_round_ps(on_grid, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)
                                      : _mm256_round_ps(on_grid, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
}

// sum_j g_j entry_jk of a channel that is not finite.
double add_nonfinite(const Source& source, int64_t channel, int64_t k, const int8_t* entries) {
  double sum = 0.0;
  for (int64_t j = 0; j < source.t.reduced; ++j)
    sum = core::add_nonfinite(sum, source.at(channel, j),
                              entries[(k / kRanks * source.t.reduced + j) * kRanks + k % kRanks]);
  return sum;
}

void project_tile(const Source& source, int64_t first, const int8_t* entries, double* total, float* low) {
  const TensorPlan& t = source.t;
  const int64_t channels = std::min<int64_t>(kChannels, t.channels - first);
  const int64_t tiles = core::ceil_div(t.rank, kRanks);
  float x[kChunk * kChannels];
  std::fill_n(total, tiles * kRanks * kChannels, 0.0);
  for (int64_t j = 0; j < t.reduced; j += kChunk) {
    const int64_t n = std::min<int64_t>(kChunk, t.reduced - j);
    pack(source, first, channels, j, n, x);
    for (int64_t tile = 0; tile < tiles; ++tile)
      add_chunk(x, entries + (tile * t.reduced + j) * kRanks, n, total + tile * kRanks * kChannels);
  }
  const double unit = core::projection_unit(t.rank);
  for (int64_t c = 0; c < channels; ++c) {
    const uint32_t largest = source.largest[first + c];
    const double step = core::grid_step(largest, unit);
    for (int64_t k = 0; k < t.rank; ++k) {
      const float value = largest < core::kInfinityBits
                              ? core::low_rank_gradient(int64_t(total[k * kChannels + c]), step)
                              : float(add_nonfinite(source, first + c, k, entries));
      low[t.reduces_columns ? (first + c) * t.rank + k : k * t.cols + first + c] =
          core::canonical(core::perturbed(core::PerturbedStage::low_rank_gradient, value));
    }
  }
}

}  // namespace

int64_t projection_entries(const TensorPlan& t) { return core::ceil_div(t.rank, kRanks) * kRanks * t.reduced; }
int64_t projection_sums(const TensorPlan& t) { return core::ceil_div(t.rank, kRanks) * kRanks * kChannels; }

void project(const TensorPlan& t, const Gradient& gradient, int64_t step, const Arenas& arenas, Workers& workers) {
  const uint32_t refresh = core::refresh_index(step, t.refresh);
  int8_t* const entries = workers.entries();
  workers.for_each(core::ceil_div(t.rank, kRanks),
                   [&](int64_t tile, Workspace&) { make_entries(t, refresh, tile, entries); });
  float* const low = core::at<float>(arenas.scratch, t.low_rank_gradient);
  const Source source = {t, gradient, core::at<uint32_t>(arenas.scratch, t.channel_largest)};
  workers.for_each(core::ceil_div(t.channels, kChannels), [&](int64_t tile, Workspace& space) {
    project_tile(source, tile * kChannels, entries, space.sums.data(), low);
  });
}

}  // namespace plumbline::twin
