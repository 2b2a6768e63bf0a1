#include "reference/projections/philox.h"

namespace plumbline::reference {
namespace {

struct Product {
  uint32_t high, low;
};

Product multiply(uint32_t a, uint32_t b) {
  const uint64_t product = uint64_t{a} * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

}  // namespace

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> x, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const Product even = multiply(0xD2511F53, x[0]), odd = multiply(0xCD9E8D57, x[2]);
    x = {odd.high ^ x[1] ^ key[0], odd.low, even.high ^ x[3] ^ key[1], even.low};
    key[0] += 0x9E3779B9;  // the golden ratio and sqrt(3) - 1
    key[1] += 0xBB67AE85;
  }
  return x;
}

}  // namespace plumbline::reference
