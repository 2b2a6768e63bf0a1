// Two signed 4-bit codes a byte, in two's complement, the first in the high nibble. Rows start on a byte: the last code
// of an odd row leaves the low nibble 0.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace plumbline::reference {

inline uint8_t pack_nibbles(int first, int second) { return static_cast<uint8_t>((first & 15) << 4 | (second & 15)); }
inline int high_nibble(uint8_t byte) { return (byte >> 4 ^ 8) - 8; }
inline int low_nibble(uint8_t byte) { return ((byte & 15) ^ 8) - 8; }

// One row of codes in -8..7.
std::vector<uint8_t> pack_row(std::span<const int> codes);
std::vector<int> unpack_row(std::span<const uint8_t> bytes, int64_t count);

}  // namespace plumbline::reference
