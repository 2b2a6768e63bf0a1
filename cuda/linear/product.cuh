// The int8 product on the tensor cores of any GPU since sm_75, tiles of 128 tokens x 128 outputs x 64 inputs copied
// ahead in a ring. Eight warps, two along the tokens and four along the outputs, 64 x 32 each.
#pragma once
#include "cuda/linear/mma.h"
#include "cuda/linear/tasks.h"

namespace plumbline::PLUMBLINE_TARGET {

struct ProductTile {
  static constexpr int kTokens = 128, kOutputs = 128, kInputs = 64, kStages = 3, kThreads = 256;
  static constexpr int kRow = kInputs + 16;  // bytes in shared memory: eight rows then lie in different banks
  static constexpr int kOperand = 128 * kRow, kStage = 2 * kOperand;
  static constexpr size_t kShared = size_t(kStages) * kStage;
  static constexpr int kWarpTokens = 64, kWarpOutputs = 32;
  static constexpr int kGroup = 32;  // token tiles that take turns before the next output tile: they share L2
};

// Token tile and output tile of the i-th block.
struct TileIndex {
  int64_t token, output;
};
PLUMBLINE_DEVICE TileIndex tile_of(int64_t i, int64_t token_tiles, int64_t output_tiles, int64_t group) {
  const int64_t first = i / (group * output_tiles) * group;
  const int64_t rows = token_tiles - first < group ? token_tiles - first : group, within = i - first * output_tiles;
  return {first + within % rows, within / rows};
}

// 128 rows x 64 inputs of a matrix of codes into one operand of a stage; rows past the end become zeros.
PLUMBLINE_DEVICE void copy_operand(std::byte* to, const int8_t* from, int64_t first_row, int64_t rows, int64_t pitch,
                                   int64_t input) {
  using Tile = ProductTile;
  constexpr int kPieces = Tile::kInputs / 16;
  PLUMBLINE_UNROLL
  for (int i = 0; i < 128 * kPieces / Tile::kThreads; ++i) {
    const int piece = i * Tile::kThreads + thread_index(), row = piece / kPieces, at = piece % kPieces * 16;
    const bool valid = first_row + row < rows;
    copy16_async(to + row * Tile::kRow + at, from + (valid ? first_row + row : 0) * pitch + input + at, valid);
  }
}

PLUMBLINE_DEVICE uint32_t word_at(const std::byte* p) { return *reinterpret_cast<const uint32_t*>(p); }

PLUMBLINE_DEVICE void multiply_stage(int32_t (&sum)[4][4][4], const std::byte* stage) {
  using Tile = ProductTile;
  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp, group = lane / 4, t = lane % 4;
  const std::byte* x = stage + (warp / 4 * Tile::kWarpTokens + group) * Tile::kRow + 4 * t;
  const std::byte* w = stage + Tile::kOperand + (warp % 4 * Tile::kWarpOutputs + group) * Tile::kRow + 4 * t;
  PLUMBLINE_UNROLL
  for (int k = 0; k < Tile::kInputs; k += 32) {
    uint32_t a[4][4], b[4][2];
    PLUMBLINE_UNROLL
    for (int m = 0; m < 4; ++m) {
      const std::byte* at = x + m * 16 * Tile::kRow + k;
      a[m][0] = word_at(at);
      a[m][1] = word_at(at + 8 * Tile::kRow);
      a[m][2] = word_at(at + 16);
      a[m][3] = word_at(at + 8 * Tile::kRow + 16);
    }
    PLUMBLINE_UNROLL
    for (int n = 0; n < 4; ++n) {
      const std::byte* at = w + n * 8 * Tile::kRow + k;
      b[n][0] = word_at(at);
      b[n][1] = word_at(at + 16);
    }
    PLUMBLINE_UNROLL
    for (int m = 0; m < 4; ++m) {
      PLUMBLINE_UNROLL
      for (int n = 0; n < 4; ++n) mma_s8(sum[m][n], a[m], b[n]);
    }
  }
}

template <class T>
PLUMBLINE_DEVICE void finish_output(const linear::ProductTask& task, int64_t token, int64_t output, int32_t sum) {
  if (token >= task.tokens || output >= task.outputs) return;
  const int64_t at = token * task.outputs + output;
  if (task.accumulators != nullptr) task.accumulators[at] = sum;
  core::narrow(linear::output_of(sum, task.x_scale[token], task.w_scale[output], task.bias[output]),
               static_cast<T*>(task.y)[at]);
}

template <class T>
PLUMBLINE_KERNEL(ProductTile::kThreads, 1)
product_mma(linear::ProductTask task) {
  using Tile = ProductTile;
  PLUMBLINE_DYNAMIC_SHARED(std::byte, ring);
  const TileIndex tile = tile_of(block_index(), core::ceil_div(task.tokens, Tile::kTokens),
                                 core::ceil_div(task.outputs, Tile::kOutputs), Tile::kGroup);
  const int64_t token = tile.token * Tile::kTokens, output = tile.output * Tile::kOutputs;
  const int64_t slabs = task.depth / Tile::kInputs;
  const auto copy = [&](int64_t slab) {
    if (slab < slabs) {
      std::byte* stage = ring + slab % Tile::kStages * Tile::kStage;
      copy_operand(stage, task.x, token, task.tokens, task.pitch, slab * Tile::kInputs);
      copy_operand(stage + Tile::kOperand, task.w, output, task.outputs, task.pitch, slab * Tile::kInputs);
    }
    copy_commit();  // also where there is nothing more to copy, so that a wait counts the same groups
  };
  PLUMBLINE_UNROLL
  for (int s = 0; s < Tile::kStages - 1; ++s) copy(s);

  int32_t sum[4][4][4] = {};
  for (int64_t slab = 0; slab < slabs; ++slab) {
    copy_wait<Tile::kStages - 2>();
    block_barrier();  // the slab is there for all, and the one before it was read by all
    copy(slab + Tile::kStages - 1);
    multiply_stage(sum, ring + slab % Tile::kStages * Tile::kStage);
  }

  const int lane = thread_index() % kWarp, warp = thread_index() / kWarp, group = lane / 4, t = lane % 4;
  const int64_t first_token = token + warp / 4 * Tile::kWarpTokens + group;
  const int64_t first_output = output + warp % 4 * Tile::kWarpOutputs + 2 * t;
  PLUMBLINE_UNROLL
  for (int m = 0; m < 4; ++m) {
    PLUMBLINE_UNROLL
    for (int n = 0; n < 4; ++n) {
      PLUMBLINE_UNROLL
      for (int i = 0; i < 4; ++i)
        finish_output<T>(task, first_token + 16 * m + 8 * (i / 2), first_output + 8 * n + i % 2, sum[m][n][i]);
    }
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
