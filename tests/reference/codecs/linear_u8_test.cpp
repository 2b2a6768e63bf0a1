#include "reference/codecs/linear_u8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace plumbline::reference {
namespace {

LinearU8::Scale scale_of(std::vector<double> values) { return LinearU8::scale_of(std::span<const double>(values)); }

TEST(LinearU8Test, ScaleIsTheLargestValueButNotTooSmall) {
  EXPECT_EQ(scale_of({0.25, 3, 1}), (LinearScale{3}));
  EXPECT_EQ(scale_of({0, 1e-20}), (LinearScale{1e-20}));
  EXPECT_EQ(scale_of({0, 1e-33}), (LinearScale{0x1p-100}));
}

TEST(LinearU8Test, CodesAreEvenlySpaced) {
  const LinearScale scale{510};
  EXPECT_EQ(LinearU8::encode(0, scale), 0);
  EXPECT_EQ(LinearU8::encode(510, scale), 255);
  EXPECT_EQ(LinearU8::encode(1, scale), 0);  // the largest value of code 0; ties to even: 1.5, 2.5
  EXPECT_EQ(LinearU8::encode(3, scale), 2);
  EXPECT_EQ(LinearU8::encode(5, scale), 2);
  EXPECT_EQ(LinearU8::encode(1e9, scale), 255);
  EXPECT_EQ(LinearU8::decode(2, scale), 4);
}

TEST(LinearU8Test, NothingIsReadAsZero) {
  const LinearScale scale{510};
  EXPECT_EQ(LinearU8::decode(0, scale), 1);
  for (const double v : {0.0, 0x1p-60, 0.99, 1.0}) {
    EXPECT_EQ(LinearU8::encode(v, scale), 0) << v;
    EXPECT_EQ(LinearU8::encode_stochastic(v, scale, 0x1p-17), 0) << v;
    for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic})
      EXPECT_TRUE(LinearU8::reach(v, scale, rounding).contains(1)) << v;
  }
  EXPECT_EQ(LinearU8::encode(1.01, scale), 1);
  // between half a step and a step: unbiased
  EXPECT_EQ(LinearU8::encode_stochastic(1.25, scale, 0.2499), 1);
  EXPECT_EQ(LinearU8::encode_stochastic(1.25, scale, 0.2501), 0);
}

TEST(LinearU8Test, EveryCodeSurvivesDecodeAndEncode) {
  for (const double s : {0x1p-100, 0.7, 3e20})
    for (int code = 0; code < 256; ++code)
      EXPECT_EQ(LinearU8::encode(LinearU8::decode(static_cast<uint8_t>(code), {s}), {s}), code);
}

TEST(LinearU8Test, ErrorStaysWithinHalfAStep) {
  const LinearScale scale{0.7};
  for (double v = 0; v <= 0.7; v += 0.000137)
    EXPECT_LE(std::abs(LinearU8::decode(LinearU8::encode(v, scale), scale) - v),
              LinearU8::half_step(v, scale) * (1 + 1e-12));
}

TEST(LinearU8Test, StochasticGoesUpBelowTheFraction) {
  const LinearScale scale{255};
  EXPECT_EQ(LinearU8::encode_stochastic(7.25, scale, 0.2499), 8);
  EXPECT_EQ(LinearU8::encode_stochastic(7.25, scale, 0.2501), 7);
  for (const double u : {0x1p-17, 1 - 0x1p-17})
    for (int code = 0; code < 256; ++code) EXPECT_EQ(LinearU8::encode_stochastic(code, scale, u), code);
  EXPECT_TRUE(LinearU8::reach(7.25, scale, Rounding::stochastic).contains(7));
  EXPECT_TRUE(LinearU8::reach(7.25, scale, Rounding::stochastic).contains(8));
  EXPECT_FALSE(LinearU8::reach(7.25, scale, Rounding::nearest).contains(8));
}

TEST(LinearU8Test, BlockWithANonFiniteValueDecodesToNaN) {
  for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(), -1.0}) {
    const LinearScale scale = scale_of({1, bad, 5});
    EXPECT_TRUE(std::isnan(scale.scale));
    EXPECT_TRUE(std::isnan(LinearU8::decode(0, scale)));
    EXPECT_TRUE(std::isnan(LinearU8::unrounded_code(1, scale)));
  }
}

}  // namespace
}  // namespace plumbline::reference
