#include "cuda/core/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace plumbline::core {
namespace {

template <class T>
T narrowed(float x) {
  T out;
  narrow(x, out);
  return out;
}

// The value of a 16-bit float by its definition.
double value(uint16_t bits, int mantissa_bits) {
  const int exponent_bits = 15 - mantissa_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

template <class T>
class SixteenBits : public testing::Test {
 public:
  static constexpr int kMantissa = std::is_same_v<T, bf16> ? 7 : 10;
};
using Types = testing::Types<bf16, f16>;
TYPED_TEST_SUITE(SixteenBits, Types);

TYPED_TEST(SixteenBits, WidenGivesTheDefinedValueAndNarrowGivesItBack) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const TypeParam x{uint16_t(bits)};
    const float wide = widen(x);
    const double truth = value(x.bits, TestFixture::kMantissa);
    if (std::isnan(truth)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
      ASSERT_EQ(narrowed<TypeParam>(wide).bits, 0x7fff) << bits;
    } else {
      ASSERT_EQ(double(wide), truth) << bits;
      ASSERT_EQ(std::signbit(wide), (bits & 0x8000u) != 0) << bits;
      ASSERT_EQ(narrowed<TypeParam>(wide).bits, bits);
    }
  }
}

TYPED_TEST(SixteenBits, NarrowRoundsToNearestAndTiesToEven) {
  const uint16_t infinity = uint16_t(((1 << (15 - TestFixture::kMantissa)) - 1) << TestFixture::kMantissa);
  for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
    const double low = value(uint16_t(bits), TestFixture::kMantissa),
                 high = value(uint16_t(bits + 1), TestFixture::kMantissa);
    const float middle = float((low + high) / 2);
    if (double(middle) != (low + high) / 2) continue;  // below float32's own range
    const uint32_t even = bits & 1 ? bits + 1 : bits;
    ASSERT_EQ(narrowed<TypeParam>(middle).bits, even);
    ASSERT_EQ(narrowed<TypeParam>(-middle).bits, even | 0x8000u);
    ASSERT_EQ(narrowed<TypeParam>(std::nextafter(middle, 0.0f)).bits, bits);
    ASSERT_EQ(narrowed<TypeParam>(std::nextafter(middle, 3.4e38f)).bits, bits + 1);
  }
}

TYPED_TEST(SixteenBits, NarrowOverflowsToInfinityHalfAStepAboveTheLargest) {
  const uint16_t infinity = uint16_t(((1 << (15 - TestFixture::kMantissa)) - 1) << TestFixture::kMantissa);
  const double largest = value(uint16_t(infinity - 1), TestFixture::kMantissa);
  const double step = largest - value(uint16_t(infinity - 2), TestFixture::kMantissa);
  const float threshold = float(largest + step / 2);
  EXPECT_EQ(narrowed<TypeParam>(threshold).bits, infinity);
  EXPECT_EQ(narrowed<TypeParam>(std::nextafter(threshold, 0.0f)).bits, infinity - 1);
  EXPECT_EQ(narrowed<TypeParam>(-std::numeric_limits<float>::infinity()).bits, infinity | 0x8000);
  EXPECT_EQ(narrowed<TypeParam>(std::numeric_limits<float>::max()).bits, infinity);
}

TEST(Number, EveryStoredNanIsCanonical) {
  for (uint32_t bits : {0x7f800001u, 0xffc00000u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
    const float nan = from_bits(bits);
    EXPECT_EQ(to_bits(narrowed<float>(nan)), 0x7fffffffu);
    EXPECT_EQ(narrowed<bf16>(nan).bits, 0x7fff);
    EXPECT_EQ(narrowed<f16>(nan).bits, 0x7fff);
  }
  EXPECT_EQ(to_bits(narrowed<float>(-0.0f)), 0x80000000u);
}

TEST(Number, TheNonfinitePolicyStartsAtTwoToTheFifty) {
  const float limit = 0x1p50f, infinity = std::numeric_limits<float>::infinity();
  for (float x : {limit, -limit, infinity, -infinity, std::nanf(""), -std::nanf("")}) EXPECT_TRUE(is_nonfinite(x)) << x;
  for (float x : {0.0f, -0.0f, 0x1p-149f, std::nextafter(limit, 0.0f), -std::nextafter(limit, 0.0f)}) {
    EXPECT_FALSE(is_nonfinite(x)) << x;
  }
  // what one comparison of a row sum rests on
  EXPECT_LT(std::nextafter(limit, 0.0f) * std::nextafter(limit, 0.0f), kSquareLimit);
  EXPECT_GE(limit * limit, kSquareLimit);
}

}  // namespace
}  // namespace plumbline::core
