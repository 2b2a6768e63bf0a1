#include "reports/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::reports {
namespace {

TEST(RankSum, AgreesWithAnExampleWorkedByHand) {
  // a: 1 2 4, b: 3 5 6 7. U = pairs with b > a = 2+3+3+3 = 11 of 12; variance 3*4*8/12 = 8; z = (11-6-0.5)/sqrt 8.
  const std::vector<uint64_t> a = {1, 1, 0, 1, 0, 0, 0}, b = {0, 0, 1, 0, 1, 1, 1};
  const RankSum test = rank_sum(a, b);
  EXPECT_DOUBLE_EQ(test.superiority, 11.0 / 12);
  EXPECT_NEAR(test.p, std::erfc(4.5 / std::sqrt(8.0) / std::sqrt(2.0)), 1e-15);
}

TEST(RankSum, SeesNothingInEqualSamplesAndMuchInShiftedOnes) {
  const std::vector<uint64_t> a = {50, 200, 400, 200, 50, 0}, shifted = {0, 50, 200, 400, 200, 50},
                              none = {0, 0, 0, 0, 0, 0};
  EXPECT_EQ(rank_sum(a, a).superiority, 0.5);
  EXPECT_EQ(rank_sum(a, a).p, 1);
  EXPECT_LT(rank_sum(a, shifted).p, 1e-30);
  EXPECT_GT(rank_sum(a, shifted).superiority, 0.7);
  EXPECT_NEAR(rank_sum(shifted, a).superiority, 1 - rank_sum(a, shifted).superiority, 1e-12);
  EXPECT_EQ(rank_sum(a, none).p, 1);
  EXPECT_EQ(rank_sum(std::vector<uint64_t>{0, 9}, std::vector<uint64_t>{0, 5}).p, 1);  // one class only
}

TEST(RankSum, RejectsTrueHypothesesNoMoreOftenThanItsLevel) {
  std::mt19937_64 random(20260101);
  int rejected = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<uint64_t> a(20), b(20);
    std::binomial_distribution<int> classes(19, 0.4);
    for (int i = 0; i < 60; ++i) ++a[size_t(classes(random))], ++b[size_t(classes(random))];
    rejected += rank_sum(a, b).p <= 0.05;
  }
  // 2000 trials at 5 %: mean 100, four standard deviations 39
  EXPECT_LT(rejected, 139);
  EXPECT_GT(rejected, 61);
}

TEST(Holm, AdjustsStepByStep) {
  const std::vector<double> p = {0.01, 0.04, 0.03, 0.005};
  const std::vector<double> adjusted = holm(p);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.02);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.06);
}

}  // namespace
}  // namespace plumbline::reports
