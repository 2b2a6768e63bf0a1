#include "reference/codecs/uniform.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace plumbline::reference {
namespace {

TEST(UniformTest, CodesAreSymmetric) {
  for (const auto& codec : {kUf4, kUf8}) {
    for (double x = -1; x <= 1; x += 1.0 / 512) EXPECT_EQ(codec.encode(x, 1), -codec.encode(-x, 1));
    EXPECT_EQ(codec.encode(1, 1), codec.high);
    EXPECT_EQ(codec.decode(codec.high, 1), 1);
    for (int code = codec.low; code <= codec.high; ++code) EXPECT_EQ(codec.encode(codec.decode(code, 0.3), 0.3), code);
  }
}

TEST(UniformTest, TiesRoundToEven) {
  EXPECT_EQ(kUf4.encode(0.5, 7), 0);
  EXPECT_EQ(kUf4.encode(1.5, 7), 2);
  EXPECT_EQ(kUf4.encode(-2.5, 7), -2);
}

TEST(UniformTest, ScaleIsTheLargestMagnitude) {
  const std::vector<double> some{0.1, -3, 2}, zeros{0, 0}, faulty{1, std::numeric_limits<double>::infinity()};
  EXPECT_EQ(kUf4.scale_of(some), 3);
  EXPECT_EQ(kUf4.scale_of(zeros), 0x1p-100);
  EXPECT_EQ(kAdafactor8bitMomentum.scale_of(zeros), 1e-12);
  EXPECT_TRUE(std::isnan(kUf4.scale_of(faulty)));
}

// H - 1 and H - 3/2 steps leave room for the draw: nothing clamps, ends included, and the mean is the value.
TEST(UniformTest, StochasticAndDitherAverageToTheValue) {
  constexpr int kDraws = 1 << 12;
  for (const auto& codec : {kUf4, kUf8})
    for (const double x : {-3.0, -1.234, 0.0, 0.01, 2.9, 3.0}) {
      double stochastic = 0, dithered = 0;
      for (int k = 0; k < kDraws; ++k) {
        const double d = (k + 0.5) / kDraws - 0.5;
        const int up = codec.encode_stochastic(x, 3, d + 0.5), off = codec.encode_dither(x, 3, d);
        EXPECT_LE(std::abs(up), codec.steps - 1);
        EXPECT_LE(std::abs(off), codec.steps - 1);
        const double a = codec.decode_stochastic(up, 3), b = codec.decode_dither(off, 3, d);
        EXPECT_TRUE(codec.reach(x, 3, Rounding::stochastic).contains(a)) << x;
        EXPECT_LE(std::abs(b - x), 1.5 / (codec.steps - 1.5) * (1 + 1e-12)) << x;
        stochastic += a;
        dithered += b;
      }
      const double jump = 3.0 / (codec.steps - 1.5) / kDraws;  // a sum over a grid of draws is off by one step at most
      EXPECT_NEAR(stochastic / kDraws, x, jump);
      EXPECT_NEAR(dithered / kDraws, x, jump);
    }
}

TEST(UniformTest, StochasticKeepsTheValuesOfItsCodes) {
  for (const auto& codec : {kUf4, kUf8})
    for (int code = 1 - codec.steps; code < codec.steps; ++code)
      for (const double u : {0x1p-17, 1 - 0x1p-17})
        EXPECT_EQ(codec.encode_stochastic(codec.decode_stochastic(code, 0x1p-3), 0x1p-3, u), code);
}

// M <- Q(beta1 M + (1 - beta1) g) at its fixed point, one block of equal values.
double settle(const UniformCodec& codec, double g) {
  double momentum = 0;
  for (int t = 0; t < 500; ++t) {
    const double x = 0.9 * momentum + 0.1 * g;
    const double scale = codec.scale_of(std::span(&x, 1));
    momentum = codec.decode(codec.encode(x, scale), scale);
  }
  return momentum;
}

TEST(UniformTest, CodesFromMinus8To7BiasTheMomentumBySign) {
  EXPECT_NEAR(settle(kAdafactor8bitMomentum, 1), 0.0875 / (1 - 0.7875), 1e-12);  // 0.41
  EXPECT_NEAR(settle(kAdafactor8bitMomentum, -1), -1, 1e-12);
  EXPECT_NEAR(settle(kUf4, 1), 1, 1e-12);
  EXPECT_NEAR(settle(kUf4, -1), -1, 1e-12);
}

}  // namespace
}  // namespace plumbline::reference
