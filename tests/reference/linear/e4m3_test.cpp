#include "reference/linear/e4m3.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cuda/linear/arithmetic.h"

namespace plumbline::reference {
namespace {

TEST(E4m3, HasTheValuesOfTheFormat) {
  EXPECT_EQ(decode_e4m3(0x00), 0);
  EXPECT_TRUE(std::signbit(decode_e4m3(0x80)));
  EXPECT_EQ(decode_e4m3(0x01), 0x1p-9);      // smallest subnormal
  EXPECT_EQ(decode_e4m3(0x07), 7 * 0x1p-9);  // largest subnormal
  EXPECT_EQ(decode_e4m3(0x08), 0x1p-6);      // smallest normal
  EXPECT_EQ(decode_e4m3(0x38), 1);
  EXPECT_EQ(decode_e4m3(0x7e), 448);  // largest
  EXPECT_EQ(decode_e4m3(0xfe), -448);
  EXPECT_TRUE(std::isnan(decode_e4m3(0x7f)));
  EXPECT_TRUE(std::isnan(decode_e4m3(0xff)));
}

TEST(E4m3, RisesWithItsCode) {
  for (int code = 1; code < 0x7f; ++code) {
    EXPECT_GT(decode_e4m3(uint8_t(code)), decode_e4m3(uint8_t(code - 1))) << code;
    EXPECT_EQ(decode_e4m3(uint8_t(code | 0x80)), -decode_e4m3(uint8_t(code))) << code;
  }
}

TEST(E4m3, ProductionDecodesEveryCodeAsTheReferenceDoes) {
  for (int code = 0; code < 256; ++code) {
    const double expected = decode_e4m3(uint8_t(code)), got = linear::decode_e4m3(uint8_t(code));
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(got)) << code;
    else
      EXPECT_EQ(got, expected) << code;
    EXPECT_EQ(std::signbit(got), !std::isnan(expected) && code >= 0x80) << code;
  }
}

}  // namespace
}  // namespace plumbline::reference
