#include "reference/codecs/float_format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace plumbline::reference {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(FloatFormatTest, EveryBfloat16IsItself) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const double value = std::bit_cast<float>(bits << 16);
    if (std::isnan(value)) continue;
    ASSERT_EQ(kBfloat16.nearest(value), value) << bits;
    ASSERT_EQ(kBfloat16.stochastic(value, 0x1p-17), value) << bits;
  }
  EXPECT_TRUE(std::isnan(kBfloat16.nearest(std::nan(""))));
  EXPECT_TRUE(std::isnan(kBfloat16.stochastic(std::nan(""), 0.5)));
}

TEST(FloatFormatTest, TiesGoToEvenSubnormalsIncluded) {
  EXPECT_EQ(kBfloat16.nearest(1 + 0x1p-8), 1);
  EXPECT_EQ(kBfloat16.nearest(1 + 3 * 0x1p-8), 1 + 0x1p-6);
  EXPECT_EQ(kBfloat16.nearest(-(1 + 3 * 0x1p-8)), -(1 + 0x1p-6));
  EXPECT_EQ(kBfloat16.nearest(1 + 0x1.0001p-8), 1 + 0x1p-7);
  EXPECT_EQ(kBfloat16.nearest(0x1p-134), 0);  // half of the smallest
  EXPECT_EQ(kBfloat16.nearest(3 * 0x1p-134), 0x1p-132);
  EXPECT_EQ(kFloat16.nearest(0x1p-25), 0);
  EXPECT_EQ(kFloat16.nearest(0x1.8p-25), 0x1p-24);
  EXPECT_TRUE(std::signbit(kBfloat16.nearest(-0x1p-140)));
}

TEST(FloatFormatTest, OverflowsHalfASpacingAboveTheLargest) {
  EXPECT_EQ(kFloat16.nearest(65519.999), 65504);
  EXPECT_EQ(kFloat16.nearest(65520), kInf);
  EXPECT_EQ(kFloat16.nearest(-65520), -kInf);
  EXPECT_EQ(kBfloat16.nearest(0x1.feffp127), 0x1.fep127);
  EXPECT_EQ(kBfloat16.nearest(0x1.ffp127), kInf);
}

// Adding a 16-bit draw to the bits of a float32 and cutting them off rounds a float32 stochastically to bfloat16.
TEST(FloatFormatTest, StochasticBfloat16IsADrawAddedToTheBits) {
  std::mt19937 random(20260801);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<uint32_t>(random()), draw = static_cast<uint32_t>(random()) & 0xffff;
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    const auto added = std::bit_cast<float>((bits + draw) & 0xffff0000u);
    ASSERT_EQ(kBfloat16.stochastic(value, (draw + 0.5) * 0x1p-16), added) << bits << " " << draw;
  }
}

TEST(FloatFormatTest, ReachHoldsBothRoundings) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> exponent(-140, 120), uniform(0, 1);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::exp2(exponent(random)) * (uniform(random) < 0.5 ? -1 : 1);
    EXPECT_TRUE(kBfloat16.reach(value, Rounding::nearest).contains(kBfloat16.nearest(value))) << value;
    EXPECT_TRUE(kBfloat16.reach(value, Rounding::stochastic).contains(kBfloat16.stochastic(value, uniform(random))));
  }
}

}  // namespace
}  // namespace plumbline::reference
