// How a slot is cut into blocks, and its codes as integers.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "harness/subject.h"

namespace plumbline::harness {

struct Block {
  int64_t begin, end;      // values
  int64_t index;           // of all blocks
  int64_t slice, row;      // matrix, row in it
  int64_t in_row, column;  // block in the row, its first column
};

// Blocks in order: they never cross a row.
template <class F>
void for_each_block(const SlotState& slot, F f) {
  const int64_t length = slot.row_length();
  int64_t index = 0;
  for (int64_t row = 0; row * length < slot.count; ++row)
    for (int64_t column = 0; column < length; column += slot.block) {
      const int64_t begin = row * length + column;
      f(Block{begin, std::min(begin + slot.block, (row + 1) * length), index++, row * length / slot.matrix,
              row % (slot.matrix / length), column / slot.block, column});
    }
}

inline int64_t block_count(const SlotState& slot) {
  return slot.count / slot.row_length() * ((slot.row_length() + slot.block - 1) / slot.block);
}

inline bool is_log(Storage s) { return s == Storage::al8 || s == Storage::al16 || s == Storage::log_u8; }

inline int64_t bytes_of_row(const SlotState& slot) {
  const int64_t n = slot.row_length();
  switch (slot.storage) {
    case Storage::fp32:
      return 4 * n;
    case Storage::al16:
    case Storage::bf16:
      return 2 * n;
    case Storage::uf4:
      return (n + 1) / 2;
    default:
      return n;
  }
}

// Unpacks codes; throws nothing, sizes have been checked.
inline void read_codes(const SlotState& slot, std::vector<int>& codes) {
  codes.resize(size_t(slot.count));
  const int64_t n = slot.row_length(), row_bytes = bytes_of_row(slot);
  for (int64_t row = 0; row * n < slot.count; ++row) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(slot.values.data()) + row * row_bytes;
    int* out = codes.data() + row * n;
    for (int64_t i = 0; i < n; ++i) switch (slot.storage) {
        case Storage::al16:
          out[i] = bytes[2 * i] | bytes[2 * i + 1] << 8;
          break;
        case Storage::uf8:
          out[i] = (bytes[i] ^ 128) - 128;
          break;
        case Storage::uf4: {
          const int nibble = i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15;
          out[i] = (nibble ^ 8) - 8;
          break;
        }
        default:
          out[i] = bytes[i];
      }
  }
}

}  // namespace plumbline::harness
