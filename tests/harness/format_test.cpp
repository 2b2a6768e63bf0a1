#include "harness/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double value_of(DType type, uint16_t bits) {
  std::byte raw[2];
  std::memcpy(raw, &bits, 2);
  double v = 0;
  load(type, raw, {&v, 1});
  return v;
}
uint16_t bits_of(DType type, double v) {
  std::byte raw[2];
  store(type, {&v, 1}, raw);
  uint16_t bits;
  std::memcpy(&bits, raw, 2);
  return bits;
}
double above(double x) { return std::nextafter(x, kInfinity); }
double below(double x) { return std::nextafter(x, -kInfinity); }

class SixteenBits : public testing::TestWithParam<DType> {
 protected:
  DType type = GetParam();
  uint16_t infinity = type == DType::bfloat16 ? 0x7f80 : 0x7c00;
};
INSTANTIATE_TEST_SUITE_P(Formats, SixteenBits, testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(SixteenBits, EveryPatternIsReadAndWrittenBackUnchanged) {
  for (uint32_t i = 0; i < 1 << 16; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const double v = value_of(type, bits);
    if ((bits & 0x7fff) > infinity) {
      ASSERT_TRUE(std::isnan(v)) << i;
      ASSERT_TRUE(std::isnan(value_of(type, bits_of(type, v)))) << i;
      continue;
    }
    ASSERT_EQ(bits_of(type, v), bits) << v;
    ASSERT_EQ(round_to(type, v), v);
    ASSERT_EQ(std::signbit(v), bits >> 15 == 1) << i;
  }
}

TEST_P(SixteenBits, ValuesGrowWithTheirPatterns) {
  EXPECT_EQ(value_of(type, 1), smallest_subnormal(type));
  EXPECT_EQ(value_of(type, uint16_t(infinity - 1)), largest_finite(type));
  EXPECT_EQ(value_of(type, infinity), kInfinity);
  for (uint16_t bits = 0; bits < infinity; ++bits)
    ASSERT_LT(value_of(type, bits), value_of(type, uint16_t(bits + 1))) << bits;
}

TEST(Admitted, NeverShowsABoundThatIsNoNumber) {
  EXPECT_EQ(admitted(0.25, 1.25e-9), "0.25 +- 1.25e-09");
  EXPECT_EQ(admitted(3, 0), "3 +- 0");
  for (const double nan : {double(NAN), -double(NAN)}) {
    EXPECT_EQ(admitted(0.25, nan), "0.25, without a bound");
    EXPECT_EQ(admitted(nan, 1), "nan +- 1");
  }
  EXPECT_EQ(admitted(1, INFINITY), "1 +- inf");
}

TEST_P(SixteenBits, BetweenNeighboursTheNearerWinsAndATieGoesToTheEvenOne) {
  for (uint16_t bits = 0; bits + 1 < infinity; ++bits) {
    const double low = value_of(type, bits), high = value_of(type, uint16_t(bits + 1)), middle = (low + high) / 2;
    for (const double sign : {1.0, -1.0}) {
      ASSERT_EQ(round_to(type, sign * middle), sign * (bits % 2 == 0 ? low : high)) << bits;
      ASSERT_EQ(round_to(type, sign * below(middle)), sign * low) << bits;
      ASSERT_EQ(round_to(type, sign * above(middle)), sign * high) << bits;
    }
  }
}

TEST_P(SixteenBits, OverflowBeginsHalfAUlpAboveTheLargest) {
  const double largest = largest_finite(type), ulp = largest - value_of(type, uint16_t(infinity - 2));
  EXPECT_EQ(round_to(type, largest + ulp / 2), kInfinity);
  EXPECT_EQ(round_to(type, below(largest + ulp / 2)), largest);
  EXPECT_EQ(round_to(type, -largest - ulp / 2), -kInfinity);
  EXPECT_EQ(round_to(type, above(-largest - ulp / 2)), -largest);
  EXPECT_EQ(round_to(type, 1e300), kInfinity);
  EXPECT_EQ(round_to(type, -kInfinity), -kInfinity);
}

TEST_P(SixteenBits, TheRoundingIntervalHoldsWhatRoundsToTheValueAndNothingElse) {
  for (uint32_t i = 0; i < 1 << 16; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    if ((bits & 0x7fff) > infinity) continue;
    const double v = value_of(type, bits);
    const Interval in = rounding_interval(type, v);
    ASSERT_LT(in.low, in.high);
    ASSERT_EQ(round_to(type, std::isinf(in.low) ? in.low : above(in.low)), v) << i;
    ASSERT_EQ(round_to(type, std::isinf(in.high) ? in.high : below(in.high)), v) << i;
    if (!std::isinf(in.low)) {
      ASSERT_NE(round_to(type, below(in.low)), v) << i;
    }
    if (!std::isinf(in.high)) {
      ASSERT_NE(round_to(type, above(in.high)), v) << i;
    }
    if (bits % 2 == 0) {  // ties go to the even one
      ASSERT_EQ(round_to(type, in.low), v) << i;
      ASSERT_EQ(round_to(type, in.high), v) << i;
    }
  }
}

TEST(Format, RoundsToFloat32AsTheMachineDoes) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    // exponents from below the smallest subnormal to beyond the largest
    const double x =
        std::ldexp(std::bit_cast<double>((random() >> 12) | 0x3ff0000000000000u), int(random() % 290) - 155);
    const float y = static_cast<float>(x);
    ASSERT_EQ(round_to(DType::float32, x), y);
    std::byte raw[4];
    store(DType::float32, {&x, 1}, raw);
    ASSERT_EQ(std::memcmp(raw, &y, 4), 0);
    double back = 0;
    load(DType::float32, raw, {&back, 1});
    ASSERT_EQ(back, y);
  }
}

TEST(Format, IntervalsOfFloat32EndHalfwayToTheNeighbours) {
  std::mt19937_64 random(4);
  auto check = [](float v) {
    const Interval in = rounding_interval(DType::float32, v);
    const auto round = [](double x) { return round_to(DType::float32, x); };
    ASSERT_EQ(round(above(in.low)), v);
    ASSERT_EQ(round(below(in.high)), v);
    ASSERT_NE(round(below(in.low)), v);
    ASSERT_NE(round(above(in.high)), v);
  };
  for (int i = 0; i < 200000; ++i) {
    const auto v = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isfinite(v)) check(v);
  }
  for (int e = -149; e <= 127; ++e) check(std::ldexp(1.0f, e)), check(-std::ldexp(1.0f, e));
  check(std::numeric_limits<float>::max());
  check(0.0f);
  check(-0.0f);
}

TEST(Format, KeepsSignedZerosAndNan) {
  for (const DType type : {DType::float64, DType::float32, DType::bfloat16, DType::float16}) {
    EXPECT_TRUE(std::signbit(round_to(type, -0.0)));
    EXPECT_FALSE(std::signbit(round_to(type, 0.0)));
    EXPECT_TRUE(std::isnan(round_to(type, kNan)));
    std::byte raw[8];
    double x = -0.0, back = 1;
    store(type, {&x, 1}, raw);
    load(type, raw, {&back, 1});
    EXPECT_TRUE(back == 0 && std::signbit(back));
  }
  EXPECT_TRUE(std::signbit(round_to(DType::bfloat16, -1e-300)));
}

TEST(Format, StatesTheConstantsOfEachType) {
  EXPECT_EQ(largest_finite(DType::float32), double(std::numeric_limits<float>::max()));
  EXPECT_EQ(largest_finite(DType::float64), std::numeric_limits<double>::max());
  EXPECT_EQ(largest_finite(DType::float16), 65504);
  EXPECT_EQ(largest_finite(DType::bfloat16), 0x1.fep127);
  EXPECT_EQ(smallest_subnormal(DType::float32), 0x1p-149);
  EXPECT_EQ(smallest_subnormal(DType::float64), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(smallest_subnormal(DType::float16), 0x1p-24);
  EXPECT_EQ(smallest_subnormal(DType::bfloat16), 0x1p-133);
  EXPECT_EQ(unit_roundoff(DType::float32), 0x1p-24);
  EXPECT_EQ(unit_roundoff(DType::bfloat16), 0x1p-8);
  EXPECT_EQ(unit_roundoff(DType::float16), 0x1p-11);
  for (const DType type : {DType::float64, DType::float32, DType::bfloat16, DType::float16})
    EXPECT_EQ(parse_dtype(to_string(type)), type);
  try {
    parse_dtype("f8");
    FAIL() << "f8 was accepted";
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "type 'f8': expected f64, f32, bf16 or f16");
  }
}

}  // namespace
}  // namespace plumbline::harness
