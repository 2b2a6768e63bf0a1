// The integers of the projection: grids of channels, and the digits of what lies on them.
#include "cuda/core/projection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::core {
namespace {

constexpr int32_t kLargestPoint = 127 * 0x10101;

TEST(ProjectionGrid, IsTheFinestThatThreeDigitsHold) {
  std::mt19937 random(1);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 400; ++i) {
      // significands around the one from which the grid is that of the next exponent, and any
      const uint32_t significand = i < 200 ? 0x7effff - 100 + uint32_t(i) : uint32_t(random()) & 0x7fffff;
      const uint32_t largest = exponent << 23 | significand;
      const double g = from_bits(largest);
      const int s = grid_exponent(largest);
      const int32_t q = grid_point(from_bits(largest), channel_grid(largest));
      ASSERT_EQ(double(q), std::nearbyint(std::ldexp(g, s))) << std::hex << largest;
      ASSERT_LE(q, kLargestPoint) << std::hex << largest;
      ASSERT_TRUE(s == 149 || std::nearbyint(std::ldexp(g, s + 1)) > kLargestPoint) << std::hex << largest;
      ASSERT_EQ(grid_point(-from_bits(largest), channel_grid(largest)), -q);
      ASSERT_EQ(grid_step(largest, 1.0), std::ldexp(1.0, -s));
    }
  }
}

TEST(ProjectionGrid, RoundsToEvenAndKeepsWhatLiesOnIt) {
  const uint32_t largest = to_bits(1.0f);  // steps of 2^-22
  const ChannelGrid grid = channel_grid(largest);
  EXPECT_EQ(grid_point(0x1p-22f, grid), 1);
  EXPECT_EQ(grid_point(0x1p-23f, grid), 0);
  EXPECT_EQ(grid_point(0x1.8p-22f, grid), 2);
  EXPECT_EQ(grid_point(-0x1.8p-22f, grid), -2);
  EXPECT_EQ(grid_point(-0x1.2p-23f, grid), -1);
  const ChannelGrid subnormal = channel_grid(5);
  EXPECT_EQ(grid_point(from_bits(5), subnormal), 5);
  EXPECT_EQ(grid_point(from_bits(1), subnormal), 1);
  EXPECT_EQ(grid_point(0.0f, channel_grid(0)), 0);
}

TEST(ProjectionGrid, DigitsAddUp) {
  const auto expect_digits = [](int32_t q) {
    const uint32_t bytes = grid_digits(q);
    ASSERT_EQ(sum_of_digits(int8_t(bytes >> 16), int8_t(bytes >> 8), int8_t(bytes)), q);
    ASSERT_EQ(bytes >> 24, 0u) << q;
  };
  for (int32_t q = -kLargestPoint; q <= kLargestPoint - 251; q += 251) expect_digits(q);
  for (const int32_t edge : {-kLargestPoint, -65536, -32768, -256, -128, 0, 127, 255, 32767, 65535, kLargestPoint})
    for (int32_t q = std::max(edge - 2, -kLargestPoint); q <= std::min(edge + 2, kLargestPoint); ++q) expect_digits(q);
}

TEST(ProjectionGrid, WhatIsNotFiniteTakesPlaceOfTheSum) {
  EXPECT_EQ(add_nonfinite(0.0, 3.0f, 7), 0.0);
  EXPECT_EQ(add_nonfinite(0.0, INFINITY, -2), -INFINITY);
  EXPECT_TRUE(std::isnan(add_nonfinite(0.0, INFINITY, 0)));
  EXPECT_TRUE(std::isnan(add_nonfinite(INFINITY, INFINITY, -1)));
  EXPECT_EQ(add_nonfinite(INFINITY, 1.0f, -1), INFINITY);
}

}  // namespace
}  // namespace plumbline::core
