// State as it leaves and enters an optimizer: decoded, by slot name, for other programs and other storages; and raw, as
// it is stored, for a run that goes on with the same bits.
//
// Slots of a tensor, by path (m x n the matrix, batch of `slices`; one axis: m = 1):
//   factored   row (slices x m), col (slices x n): R and C, averages of g^2 + eps1;
//              with beta1 momentum (slices x m x n);
//              with beta3 confidence_row and confidence_col, as row and col: averages of (u - M)^2 + eps_came
//   full       second_moment (slices x m n): V; with beta1 momentum, likewise
//   projected  low_rank_second_moment, or low_rank_row and low_rank_col; with beta1 low_rank_momentum: of the shape
//              (m, r), or (r, n) where m < n; m = shape[0]
//   any        parameter_norm where it is carried: sum p^2 after the last step, -1 if not known; previous_norm with a
//              limiter: norm of the last update, 0 before the first. One float64 each.
// Averages are not bias-corrected: they are what the equations call M_t, R_t, C_t, V_t.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/api/options.h"

namespace plumbline {

// Form of one slot of one tensor.
struct SlotLayout {
  std::string name;
  Storage storage = Storage::fp32;
  Rounding rounding = Rounding::nearest;
  uint32_t writes = 0;  // of the slot so far: with the place of a value it determines the random part of its code
  int64_t count = 0;    // values in the slot
  int64_t matrix = 0;   // values per matrix of the batch
  int64_t row = 0;      // values per row, which starts on a byte; blocks never cross it. Second moments: the matrix
  int block = 0;        // values per block of a quantized slot, else 0
  std::vector<int64_t> shape;  // of the decoded values: the extents above, those of the batch first

  int64_t rows() const { return row == 0 ? 0 : count / row; }  // in all matrices
  bool operator==(const SlotLayout&) const = default;
};

// One slot as it is stored.
struct RawSlot : SlotLayout {
  // fp32: float32 values; bf16: their upper halves; al16: 2-byte codes; uf4: two signed codes a byte, the first in the
  // high nibble; else one code a byte (uf8: signed); float64 of a norm. Little endian.
  std::vector<std::byte> values;
  std::vector<float> scales;  // logarithmic codes: lo, r per block; linear_u8, uf8, uf4: scale per block; else empty
};

// One slot's values as the next step would read them, row-major.
struct DecodedSlot {
  std::string name;
  std::vector<float> values;
};

// A tensor's state in values, whatever it is stored as.
struct DecodedState {
  int64_t steps_taken = 0;         // t
  std::vector<DecodedSlot> slots;  // every slot but the norms, in any order
  double previous_norm = 0;        // of the limiter; 0: none yet, the next step only records its own
};

}  // namespace plumbline
