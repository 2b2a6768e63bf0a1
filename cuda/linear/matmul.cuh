// Products with the dequantized weight in float32: tiles of 64 x 64 results over chunks of 64, the weight dequantized
// on its way into shared memory. Tensor cores would round as no host does.
#pragma once
#include "cuda/linear/weight.cuh"

namespace plumbline::PLUMBLINE_TARGET {

struct MatmulTile {
  static constexpr int kRows = 64, kColumns = 64, kThreads = 256, kEach = 4;
  static constexpr int kRow = 64 + 4;  // floats in shared memory
};

struct MatmulShared {
  alignas(16) float a[linear::kChunk][MatmulTile::kRow];  // by summed index, then result row
  alignas(16) float b[linear::kChunk][MatmulTile::kRow];  // by summed index, then result column
};

// The tile of operands for one chunk; what lies past an edge is +0, which changes no sum.
template <class T, bool Transposed>
PLUMBLINE_DEVICE void load_chunk(const linear::MatmulTask& task, MatmulShared& shared, int64_t row, int64_t column,
                                 int64_t first, int64_t summed, int64_t columns) {
  const auto* a = static_cast<const T*>(task.a);
  for (int i = thread_index(); i < linear::kChunk * MatmulTile::kRows; i += MatmulTile::kThreads) {
    const int c = i % linear::kChunk, r = i / linear::kChunk;
    const bool inside = row + r < task.tokens && first + c < summed;
    shared.a[c][r] = inside ? core::widen(a[(row + r) * summed + first + c]) : 0.0f;
  }
  for (int i = thread_index(); i < linear::kChunk * MatmulTile::kColumns; i += MatmulTile::kThreads) {
    // neighbouring threads read neighbouring inputs of one output
    const int input = i % 64, output = i / 64, c = Transposed ? input : output, n = Transposed ? output : input;
    const bool inside = column + n < columns && first + c < summed;
    const int64_t o = Transposed ? column + n : first + c, k = Transposed ? first + c : column + n;
    shared.b[c][n] = inside ? weight_at(task.weight, o, k) : 0.0f;
  }
}

PLUMBLINE_DEVICE void load4(float (&to)[4], const float* from) {
  const auto bits = load<16>(from);
  PLUMBLINE_UNROLL
  for (int i = 0; i < 4; ++i) to[i] = core::from_bits(bits.word[i]);
}

template <class T, bool Transposed>
PLUMBLINE_KERNEL(MatmulTile::kThreads, 1)
matmul_weight(linear::MatmulTask task) {
  using Tile = MatmulTile;
  PLUMBLINE_SHARED(MatmulShared, shared);
  const int64_t columns = Transposed ? task.weight.outputs : task.weight.inputs;
  const int64_t summed = Transposed ? task.weight.inputs : task.weight.outputs;
  const int64_t column_tiles = core::ceil_div(columns, Tile::kColumns);
  const int64_t row = block_index() / column_tiles * Tile::kRows,
                column = block_index() % column_tiles * Tile::kColumns;
  const int r = thread_index() / 16 * Tile::kEach, n = thread_index() % 16 * Tile::kEach;
  float total[4][4] = {};
  for (int64_t first = 0; first < summed; first += linear::kChunk) {
    block_barrier();
    load_chunk<T, Transposed>(task, shared, row, column, first, summed, columns);
    block_barrier();
    float sum[4][4] = {};
    PLUMBLINE_UNROLL
    for (int c = 0; c < linear::kChunk; ++c) {
      float a[4], b[4];
      load4(a, &shared.a[c][r]);
      load4(b, &shared.b[c][n]);
      PLUMBLINE_UNROLL
      for (int i = 0; i < 4; ++i) {
        PLUMBLINE_UNROLL
        for (int j = 0; j < 4; ++j) sum[i][j] = core::fma(a[i], b[j], sum[i][j]);
      }
    }
    PLUMBLINE_UNROLL
    for (int i = 0; i < 4; ++i) {
      PLUMBLINE_UNROLL
      for (int j = 0; j < 4; ++j) total[i][j] = total[i][j] + sum[i][j];
    }
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < 4; ++i) {
    PLUMBLINE_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (row + r + i >= task.tokens || column + n + j >= columns) continue;
      const float bias = task.bias != nullptr ? task.bias[column + n + j] : 0.0f;
      core::narrow(total[i][j] + bias, static_cast<T*>(task.out)[(row + r + i) * columns + column + n + j]);
    }
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
