#include "reference/codecs/codebook.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace plumbline::reference {
namespace {

TEST(CodebookTest, DynamicTreesHave256LevelsThatEndAtOne) {
  const Codebook with_sign = dynamic_tree_signed(), without = dynamic_tree_unsigned();
  ASSERT_EQ(with_sign.levels().size(), 256u);
  ASSERT_EQ(without.levels().size(), 256u);
  EXPECT_EQ(with_sign.levels().back(), 1);
  EXPECT_NEAR(with_sign.levels().front(), -0.99296875, 1e-15);  // it has no -1
  EXPECT_NEAR(with_sign.levels()[128], 5.5e-7, 1e-15);          // the smallest above 0
  EXPECT_EQ(with_sign.levels()[127], 0);
  EXPECT_EQ(without.levels().front(), 0);
  EXPECT_NEAR(without.levels()[1], 3.25e-7, 1e-15);
  EXPECT_NEAR(without.levels()[2], 7.75e-7, 1e-15);
  EXPECT_TRUE(std::is_sorted(without.levels().begin(), without.levels().end()));
}

TEST(CodebookTest, NormalFloatHasItsPublishedLevels) {
  const double published[] = {-1.0,
                              -0.6961928009986877,
                              -0.5250730514526367,
                              -0.39491748809814453,
                              -0.28444138169288635,
                              -0.18477343022823334,
                              -0.09105003625154495,
                              0.0,
                              0.07958029955625534,
                              0.16093020141124725,
                              0.24611230194568634,
                              0.33791524171829224,
                              0.44070982933044434,
                              0.5626170039176941,
                              0.7229568362236023,
                              1.0};
  const Codebook nf4 = normal_float4();
  ASSERT_EQ(nf4.levels().size(), 16u);
  // The published table is of float32, from an offset of seven digits.
  for (size_t i = 0; i < 16; ++i) EXPECT_NEAR(nf4.levels()[i], published[i], 2e-7) << i;
}

TEST(CodebookTest, Float4HasFifteenLevels) {
  const Codebook e2m1 = float4_e2m1();
  ASSERT_EQ(e2m1.levels().size(), 15u);
  EXPECT_EQ(e2m1.levels()[7], 0);
  EXPECT_DOUBLE_EQ(e2m1.levels()[8] * 6, 0.5);
  EXPECT_EQ(e2m1.levels()[14], 1);
  EXPECT_EQ(e2m1.levels()[0], -1);
}

TEST(CodebookTest, EveryCodeSurvivesDecodeAndEncode) {
  for (const Codebook& book : {dynamic_tree_signed(), dynamic_tree_unsigned(), normal_float4(), float4_e2m1()})
    for (const double scale : {1.0, 3e-9, 12345.0})
      for (int code = 0; code < int(book.levels().size()); ++code)
        EXPECT_EQ(book.encode(book.decode(code, scale), scale), code);
}

TEST(CodebookTest, TakesTheNearestLevel) {
  const Codebook book = normal_float4();
  std::mt19937_64 random(4);
  std::uniform_real_distribution<double> uniform(-1.2, 1.2);
  for (int i = 0; i < 10000; ++i) {
    const double x = uniform(random), got = book.decode(book.encode(x, 1), 1);
    for (const double level : book.levels()) ASSERT_LE(std::abs(got - x), std::abs(level - x));
    if (std::abs(x) <= 1) {
      EXPECT_TRUE(book.reach(x, 1).contains(got)) << x;
    }
  }
}

TEST(CodebookTest, ScaleIsTheLargestMagnitude) {
  const Codebook book = float4_e2m1();
  EXPECT_EQ(book.scale_of(std::vector<double>{-3, 2}), 3);
  EXPECT_EQ(book.scale_of(std::vector<double>{0, 0}), 1);
  EXPECT_TRUE(std::isnan(book.scale_of(std::vector<double>{0, std::numeric_limits<double>::infinity()})));
  EXPECT_TRUE(std::isnan(book.decode(book.encode(1, std::nan("")), std::nan(""))));
}

TEST(CodebookTest, RefusesMoreLevelsThanItsBitsHold) {
  EXPECT_THROW(Codebook(std::vector<double>(17, 1.0), 4), std::invalid_argument);
  EXPECT_THROW(Codebook(std::vector<double>(1, 1.0), 4), std::invalid_argument);
}

}  // namespace
}  // namespace plumbline::reference
