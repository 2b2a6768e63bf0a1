// A checksum of bits: equal for equal bytes in equal order. Tells results apart, is no protection against intent.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace plumbline::harness {

class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    mix(bytes.size());  // so that what ends one piece cannot begin the next
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) mix(word(bytes.data() + i, 8));
    if (i < bytes.size()) mix(word(bytes.data() + i, bytes.size() - i));
  }
  uint64_t value() const {
    uint64_t h = state_ ^ (state_ >> 29);
    h *= 0x9fb21c651e98df25u;
    return h ^ (h >> 32);
  }

 private:
  static uint64_t word(const std::byte* at, size_t count) {
    uint64_t w = 0;
    std::memcpy(&w, at, count);
    return w;
  }
  // A bijection of the state for every word, and of the word for every state.
  // The shift spreads what the product carries to its top.
  void mix(uint64_t w) {
    state_ = (state_ ^ w) * 0x9e3779b97f4a7c15u;
    state_ = std::rotl(state_ ^ (state_ >> 29), 27);
  }
  uint64_t state_ = 0x2545f4914f6cdd1du;
};

inline uint64_t checksum(std::span<const char> text) {
  Checksum sum;
  sum.add(std::as_bytes(text));
  return sum.value();
}

}  // namespace plumbline::harness
