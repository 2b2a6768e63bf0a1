#include "reference/projections/philox.h"

#include <gtest/gtest.h>

namespace plumbline::reference {
namespace {

using Words = std::array<uint32_t, 4>;

// Known-answer vectors of Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, EveryBitOfCounterAndKeyMatters) {
  const Words base = philox4x32_10({1, 2, 3, 4}, {5, 6});
  for (size_t word = 0; word < 4; ++word)
    for (int bit = 0; bit < 32; ++bit) {
      Words counter{1, 2, 3, 4};
      counter[word] ^= 1U << bit;
      EXPECT_NE(philox4x32_10(counter, {5, 6}), base);
    }
  for (size_t word = 0; word < 2; ++word)
    for (int bit = 0; bit < 32; ++bit) {
      std::array<uint32_t, 2> key{5, 6};
      key[word] ^= 1U << bit;
      EXPECT_NE(philox4x32_10({1, 2, 3, 4}, key), base);
    }
}

}  // namespace
}  // namespace plumbline::reference
