#include "reference/codecs/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "reference/projections/philox.h"

namespace plumbline::reference {
namespace {

TEST(RoundingTest, EightColumnsShareACounterAndTakeItsHalvesLowFirst) {
  const RoundingStream stream{7, 16 * 3 + 2, 5};
  const auto words = philox4x32_10({2, 11, 4, 5}, {7, 50});
  for (int64_t column = 16; column < 24; ++column) {
    const uint32_t word = words[static_cast<size_t>((column - 16) / 2)];
    const uint32_t half = column % 2 == 0 ? word & 0xffff : word >> 16;
    EXPECT_EQ(stream.uniform(column, 11, 4), (half + 0.5) / 65536) << column;
  }
}

TEST(RoundingTest, EveryPartOfThePlaceAndOfTheKeyChangesTheNumber) {
  const RoundingStream stream{1, 2, 3};
  const std::set<double> numbers{stream.offset(0, 0, 0),
                                 stream.offset(1, 0, 0),
                                 stream.offset(0, 1, 0),
                                 stream.offset(0, 0, 1),
                                 RoundingStream{9, 2, 3}.offset(0, 0, 0),
                                 RoundingStream{1, 9, 3}.offset(0, 0, 0),
                                 RoundingStream{1, 2, 9}.offset(0, 0, 0)};
  EXPECT_EQ(numbers.size(), 7u);
  EXPECT_NE(stream.uniform(0, 0, 0), stream.uniform(8, 0, 0));
  EXPECT_NE(stream.uniform(0, 0, 0), stream.uniform(1, 0, 0));
}

TEST(RoundingTest, OffsetsLieStrictlyInsideHalfACodeAndAreNeverZero) {
  double sum = 0, squares = 0, lowest = 1, highest = -1;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double d = RoundingStream{5, 1, 9}.offset(i, 0, 0);
    ASSERT_LT(std::abs(d), 0.5);
    ASSERT_NE(d, 0);
    sum += d;
    squares += d * d;
    lowest = std::min(lowest, d);
    highest = std::max(highest, d);
  }
  // Six standard deviations of the mean of uniform numbers, and of their squares.
  EXPECT_LE(std::abs(sum / kDraws), 6 / std::sqrt(12.0 * kDraws));
  EXPECT_LE(std::abs(squares / kDraws - 1.0 / 12), 6 * std::sqrt(1.0 / 180 / kDraws));
  EXPECT_LE(lowest, -0.499);
  EXPECT_GE(highest, 0.499);
}

}  // namespace
}  // namespace plumbline::reference
