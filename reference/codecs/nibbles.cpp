#include "reference/codecs/nibbles.h"

namespace plumbline::reference {

std::vector<uint8_t> pack_row(std::span<const int> codes) {
  std::vector<uint8_t> bytes((codes.size() + 1) / 2);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = pack_nibbles(codes[2 * i], 2 * i + 1 < codes.size() ? codes[2 * i + 1] : 0);
  return bytes;
}

std::vector<int> unpack_row(std::span<const uint8_t> bytes, int64_t count) {
  std::vector<int> codes(static_cast<size_t>(count));
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = i % 2 == 0 ? high_nibble(bytes[i / 2]) : low_nibble(bytes[i / 2]);
  return codes;
}

}  // namespace plumbline::reference
