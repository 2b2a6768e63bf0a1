#include "reference/codecs/log_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace plumbline::reference {
namespace {

constexpr LogCodec kWithoutZero{0, 255}, kFloorAtMinus40{0, 255, -40.0};

TEST(LogCodecTest, Al16HasAFinerGridOverTheSameRange) {
  const LogScale scale{-10, 20};
  EXPECT_EQ(kAl16.encode(0x1p-10, scale), 1);
  EXPECT_EQ(kAl16.encode(0x1p10, scale), 65535);
  EXPECT_EQ(kAl16.encode(0, scale), 0);
  EXPECT_EQ(kAl16.decode(0, scale), 0);
  EXPECT_EQ(kAl16.decode(32768, scale), 1);  // the middle of 65534 steps
  EXPECT_NEAR(kAl16.half_step(1, scale) / kAl8.half_step(1, scale), 254.0 / 65534, 1e-4);
}

TEST(LogCodecTest, EveryCodeOfAl16SurvivesDecodeAndEncode) {
  for (const LogScale scale : {LogScale{-1, 1}, LogScale{-126, 252}, LogScale{-66.439f, 0.3f}})
    for (int code = 0; code <= 65535; ++code) ASSERT_EQ(kAl16.encode(kAl16.decode(code, scale), scale), code);
}

TEST(LogCodecTest, WithoutAZeroCodeAZeroBecomesTheSmallestValue) {
  const std::vector<double> values{0, 1, 4};
  const LogScale scale = kWithoutZero.scale_of(values);
  EXPECT_EQ(scale, (LogScale{-126, 128}));
  EXPECT_EQ(kWithoutZero.encode(0, scale), 0);
  EXPECT_EQ(kWithoutZero.decode(0, scale), 0x1p-126);
  const std::vector<double> positive{1, 4};
  EXPECT_EQ(kWithoutZero.scale_of(positive), (LogScale{0, 2}));
}

TEST(LogCodecTest, AFixedFloorHoldsWhateverIsBelow) {
  const std::vector<double> values{0x1p-60, 0x1p-20};
  const LogScale scale = kFloorAtMinus40.scale_of(values);
  EXPECT_EQ(scale, (LogScale{-40, 20}));
  EXPECT_EQ(kFloorAtMinus40.decode(kFloorAtMinus40.encode(0x1p-60, scale), scale), 0x1p-40);
  EXPECT_EQ(kFloorAtMinus40.encode(0x1p-20, scale), 255);
  const std::vector<double> below{0x1p-60};
  EXPECT_EQ(kFloorAtMinus40.scale_of(below), (LogScale{-40, 1}));
}

TEST(LogCodecTest, StochasticGoesUpBelowTheFractionOfDecodedValues) {
  const LogScale scale{0, 254};  // a code an octave: between 2 and 4
  for (const double u : {0.001, 0.2499}) EXPECT_EQ(kAl8.encode_stochastic(2.5, scale, u), 3);
  for (const double u : {0.2501, 0.999}) EXPECT_EQ(kAl8.encode_stochastic(2.5, scale, u), 2);
  EXPECT_EQ(kAl8.encode_stochastic(0, scale, 0.001), 0);
  for (const int code : {1, 2, 100}) {  // a code's own value, wherever the draw falls
    EXPECT_EQ(kAl8.encode_stochastic(kAl8.decode(code, scale), scale, 0x1p-17), code);
    EXPECT_EQ(kAl8.encode_stochastic(kAl8.decode(code, scale), scale, 1 - 0x1p-17), code);
  }
}

TEST(LogCodecTest, DitherStaysWithinTheCodesAndUndoesItsOffset) {
  const LogScale scale{-12, 9};
  const double a = std::numbers::ln2 * 9 / 506, unbiased = a / std::sinh(a);
  for (const double d : {-0.499999, -0.25, 1e-6, 0.3, 0.499999}) {
    EXPECT_GE(kAl8.encode_dither(0x1p-12, scale, d), 1);
    EXPECT_LE(kAl8.encode_dither(0x1p-3, scale, d), 255);
    EXPECT_EQ(kAl8.encode_dither(0, scale, d), 0);
    EXPECT_EQ(kAl8.decode_dither(0, scale, d), 0);
    for (double v = 0x1p-12; v <= 0x1p-3; v *= 1.07) {
      const double got = kAl8.decode_dither(kAl8.encode_dither(v, scale, d), scale, d);
      EXPECT_TRUE(kAl8.reach(v, scale, Rounding::dither).contains(got)) << v;
      EXPECT_LE(std::abs(std::log2(got / unbiased / v)), 9.0 / 506 * (1 + 1e-9)) << v;
    }
  }
}

// The mean over an even grid of offsets is the value: both the offset and the factor a/sinh a are right.
TEST(LogCodecTest, DitherAndStochasticAverageToTheValue) {
  constexpr int kDraws = 1 << 14;
  for (const LogCodec& codec : {kAl8, kAl16, kLogU8}) {
    const LogScale scale{codec.lo_always.value_or(-30), 100};
    for (const double v : {0x1.3p-28, 1.1e-8, 0x1p-29}) {
      double dithered = 0, stochastic = 0;
      for (int k = 0; k < kDraws; ++k) {
        const double d = (k + 0.5) / kDraws - 0.5;
        dithered += codec.decode_dither(codec.encode_dither(v, scale, d), scale, d);
        stochastic += codec.decode(codec.encode_stochastic(v, scale, d + 0.5), scale);
      }
      const double step = std::expm1(scale.r / (codec.steps() - 1) * std::numbers::ln2);
      EXPECT_NEAR(dithered / kDraws / v, 1, step / kDraws) << v;  // a sum over a grid: one jump of a step
      EXPECT_NEAR(stochastic / kDraws / v, 1, step / kDraws) << v;
    }
  }
}

TEST(LogCodecTest, DitherOfASteplessRangeNeedsNoFactor) {
  const LogScale scale{5, 1e-300};
  EXPECT_EQ(kAl8.decode_dither(kAl8.encode_dither(32, scale, 0.25), scale, 0.25), 32);
}

TEST(LogCodecTest, NotANumberStaysOneInEveryRounding) {
  const std::vector<double> bad{1, std::numeric_limits<double>::infinity()};
  for (const LogCodec& codec : {kAl8, kAl16, kLogU8, kWithoutZero}) {
    const LogScale scale = codec.scale_of(bad);
    EXPECT_TRUE(std::isnan(codec.decode(codec.encode(1, scale), scale)));
    EXPECT_TRUE(std::isnan(codec.decode(codec.encode_stochastic(1, scale, 0.5), scale)));
    EXPECT_TRUE(std::isnan(codec.decode_dither(codec.encode_dither(1, scale, 0.1), scale, 0.1)));
    EXPECT_FALSE(codec.reach(1, scale, Rounding::nearest).contains(1));
  }
}

}  // namespace
}  // namespace plumbline::reference
