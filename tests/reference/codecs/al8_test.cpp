#include "reference/codecs/al8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace plumbline::reference {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Al8::Scale scale_of(std::vector<double> values) { return Al8::scale_of(std::span<const double>(values)); }

TEST(Al8Test, ScaleIsTheRangeOfLogarithms) {
  EXPECT_EQ(scale_of({4, 0.5, 0, 2}), (LogScale{-1, 3}));
  EXPECT_EQ(scale_of({0, 8, 8}), (LogScale{2, 1}));           // lo = hi - 1
  EXPECT_EQ(scale_of({0, -0.0}), (LogScale{0, 1}));           // all zero
  EXPECT_EQ(scale_of({0x1p-140, 1}), (LogScale{-126, 126}));  // subnormals count as 2^-126
  EXPECT_EQ(scale_of({0x1p127, 1}), (LogScale{0, 126}));
}

TEST(Al8Test, EndsOfTheRangeTakeTheFirstAndTheLastCode) {
  const LogScale scale{-10, 20};
  EXPECT_EQ(Al8::encode(0x1p-10, scale), 1);
  EXPECT_EQ(Al8::encode(0x1p10, scale), 255);
  EXPECT_EQ(Al8::decode(1, scale), 0x1p-10);
  EXPECT_EQ(Al8::decode(255, scale), 0x1p10);
  EXPECT_EQ(Al8::encode(0x1p-90, scale), 1);  // outside: clamped
  EXPECT_EQ(Al8::encode(0x1p90, scale), 255);
}

TEST(Al8Test, CodeZeroIsValueZeroAndNothingElse) {
  const LogScale scale{-3, 1};
  EXPECT_EQ(Al8::encode(0, scale), 0);
  EXPECT_EQ(Al8::encode(-0.0, scale), 0);
  EXPECT_EQ(Al8::decode(0, scale), 0);
  EXPECT_EQ(Al8::encode(5e-324, scale), 1);
}

TEST(Al8Test, TiesRoundToEven) {
  const LogScale scale{0, 254};  // a code an octave
  EXPECT_EQ(Al8::unrounded_code(0x1p1 * std::sqrt(2.0), scale), 2.5);
  EXPECT_EQ(Al8::encode(0x1p1 * std::sqrt(2.0), scale), 2);
  EXPECT_EQ(Al8::encode(0x1p2 * std::sqrt(2.0), scale), 4);
}

TEST(Al8Test, EveryCodeSurvivesDecodeAndEncode) {
  for (const LogScale scale : {LogScale{-1, 1}, LogScale{-126, 252}, LogScale{-66.439f, 0.3f}})
    for (int code = 0; code < 256; ++code)
      EXPECT_EQ(Al8::encode(Al8::decode(static_cast<uint8_t>(code), scale), scale), code);
}

TEST(Al8Test, ErrorStaysWithinHalfAStep) {
  const LogScale scale{-20, 30};
  for (double v = 0x1p-20; v <= 0x1p10; v *= 1.0137) {
    const double error = std::abs(Al8::decode(Al8::encode(v, scale), scale) - v);
    EXPECT_LE(error, Al8::half_step(v, scale) * (1 + 1e-12)) << v;
  }
  // and comes close to it
  const double v = std::exp2(-20 + 30 * (0.4999 / 254));
  EXPECT_GE(std::abs(Al8::decode(Al8::encode(v, scale), scale) - v), 0.95 * Al8::half_step(v, scale));
}

TEST(Al8Test, BlockWithANonFiniteValueDecodesToNaN) {
  for (const double bad : {kNaN, kInf, -kInf, -1.0}) {
    const LogScale scale = scale_of({1, bad, 2});
    EXPECT_TRUE(std::isnan(scale.lo)) << bad;
    EXPECT_TRUE(std::isnan(scale.stored().lo));
    for (const int code : {0, 1, 255}) EXPECT_TRUE(std::isnan(Al8::decode(static_cast<uint8_t>(code), scale)));
    EXPECT_TRUE(std::isnan(Al8::unrounded_code(1, scale)));
    EXPECT_TRUE(std::isnan(Al8::unrounded_code(0, scale)));
  }
}

TEST(Al8Test, StoredScaleIsRoundedToFloat) {
  const LogScale stored = LogScale{1.0 / 3, 2.0 / 3}.stored();
  EXPECT_EQ(stored.lo, static_cast<double>(1.0f / 3.0f));
  EXPECT_EQ(stored.r, static_cast<double>(2.0f / 3.0f));
}

TEST(Al8Test, RangeTellsZerosFromFaults) {
  const std::vector<double> zeros{0, 0}, faulty{0, kNaN}, some{0, 4, 16};
  EXPECT_TRUE(log_range(zeros).empty);
  EXPECT_FALSE(log_range(zeros).nonfinite);
  EXPECT_TRUE(log_range(faulty).nonfinite);
  EXPECT_EQ(log_range(some).lo, 2);
  EXPECT_EQ(log_range(some).hi, 4);
}

}  // namespace
}  // namespace plumbline::reference
