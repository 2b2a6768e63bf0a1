#include "cuda/core/elementary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace plumbline::core {
namespace {

// |got - truth| in units in the last place of a float32 of truth's size
double ulps(float got, long double truth) {
  int exponent = 0;
  std::frexp(truth, &exponent);
  return double(std::fabs((static_cast<long double>(got) - truth) / std::ldexp(1.0L, exponent - 24)));
}

TEST(Log2, IsExactOnPowersOfTwo) {
  for (int e = -126; e <= 127; ++e) EXPECT_EQ(log2(std::ldexp(1.0f, e)), float(e));
}

TEST(Log2, StaysWithinItsStatedErrorAndIsMonotone) {
  constexpr uint32_t kStride = 3;  // mantissas
  std::vector<long double> mantissa;
  for (uint32_t i = 0; i < 1u << 23; i += kStride)
    mantissa.push_back(std::log2(static_cast<long double>(from_bits(0x3f800000u + i))));
  double worst = 0;
  for (int e : {-126, -90, -64, -17, -2, -1, 0, 1, 2, 31, 125}) {
    float previous = float(e);
    for (size_t i = 1; i < mantissa.size(); ++i) {
      const float v = from_bits((uint32_t(e + 127) << 23) + uint32_t(i) * kStride), l = log2(v);
      ASSERT_LE(previous, l) << v;
      previous = l;
      worst = std::max(worst, ulps(l, e == -1 ? std::log2(static_cast<long double>(v)) : e + mantissa[i]));
    }
  }
  EXPECT_LE(worst, kLog2Ulps);
  EXPECT_GE(worst, 0.95 * kLog2Ulps) << "the stated error is not tight";
  RecordProperty("worst_ulps", std::to_string(worst));
}

TEST(Log2, IsMonotoneAcrossPowersOfTwo) {
  for (int e = -125; e <= 126; ++e) {
    const float v = std::ldexp(1.0f, e);
    EXPECT_LE(log2(std::nextafter(v, 0.0f)), float(e));
    EXPECT_GE(log2(std::nextafter(v, 4 * v)), float(e));
  }
}

TEST(Exp2, IsExactOnPowersOfTwo) {
  for (int k = -149; k <= 127; ++k) EXPECT_EQ(exp2(k, 0.0f), std::ldexp(1.0f, k));
}

TEST(Exp2, StaysWithinItsStatedErrorAndIsMonotone) {
  constexpr uint32_t kStride = 29;
  double worst = 0;
  float previous = 0;
  const auto visit = [&](float f) {
    const float y = exp2(0, f);
    ASSERT_LE(previous, y) << f;
    previous = y;
    worst = std::max(worst, ulps(y, std::exp2(static_cast<long double>(f))));
  };
  const uint32_t half = to_bits(0.5f), tiny = to_bits(0x1p-27f);
  for (uint32_t b = half; b > tiny; b -= kStride) visit(-from_bits(b));
  for (float f : {-0x1p-40f, 0.0f, 0x1p-40f}) visit(f);
  for (uint32_t b = half - (half - tiny) / kStride * kStride; b <= half; b += kStride) visit(from_bits(b));
  EXPECT_LE(worst, kExp2Ulps);
  EXPECT_GE(worst, 0.95 * kExp2Ulps) << "the stated error is not tight";
}

TEST(Exp2, JoinsMonotonicallyWhereTheFractionWraps) {
  for (int k : {-126, -3, -1, 0, 1, 100}) EXPECT_LE(exp2(k, 0.5f), exp2(k + 1, -0.5f));
}

TEST(Exp2, UndoesLog2ToItsError) {
  // v -> 2^log2(v): the rounding of l, at most 0.56 ulp(l), is an error of ln 2 times that in the result
  for (uint32_t bits = 0x00800000u; bits < 0x7e800000u; bits += 1000003u) {
    const float v = from_bits(bits), l = log2(v), whole = round_even(l), back = exp2(int(whole), l - whole);
    const double allowed =
        (kLog2Ulps * std::ldexp(std::fabs(double(l)), -23) * std::log(2.0) + kExp2Ulps * 0x1p-23) * double(v);
    ASSERT_LE(std::fabs(double(back) - double(v)), allowed) << v;
  }
}

}  // namespace
}  // namespace plumbline::core
