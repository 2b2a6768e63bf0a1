#include "reference/codecs/nibbles.h"

#include <gtest/gtest.h>

namespace plumbline::reference {
namespace {

TEST(NibblesTest, EveryPairOfCodesSurvivesPacking) {
  for (int first = -8; first <= 7; ++first)
    for (int second = -8; second <= 7; ++second) {
      const uint8_t byte = pack_nibbles(first, second);
      EXPECT_EQ(high_nibble(byte), first);
      EXPECT_EQ(low_nibble(byte), second);
    }
}

TEST(NibblesTest, EveryByteIsAPair) {
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(pack_nibbles(high_nibble(uint8_t(byte)), low_nibble(uint8_t(byte))), byte);
}

TEST(NibblesTest, AnOddRowLeavesItsLastLowNibbleZero) {
  const std::vector<int> codes{-7, 7, 3};
  const auto bytes = pack_row(codes);
  ASSERT_EQ(bytes.size(), 2u);
  EXPECT_EQ(bytes[0], 0x97);
  EXPECT_EQ(bytes[1], 0x30);
  EXPECT_EQ(unpack_row(bytes, 3), codes);
}

}  // namespace
}  // namespace plumbline::reference
