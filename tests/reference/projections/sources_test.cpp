#include "reference/projections/sources.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

namespace plumbline::reference {
namespace {

Tensor popcount(const Shape& shape, const Shape& projection, uint32_t seed, int64_t refresh = 0) {
  Tensor p(projection);
  // Only the gradient's extents matter here.
  popcount_projection(seed, 3)(ConstMatrixMap(nullptr, shape[0], shape[1]), refresh, p.matrix(0));
  return p;
}

TEST(PopcountProjectionTest, EntriesAreScaledIntegers) {
  const Tensor p = popcount({40, 30}, {2, 30}, 1);
  for (const double x : p.data) {
    const double integer = x * std::sqrt(16.0);
    EXPECT_NEAR(integer, std::round(integer), 1e-14);
    EXPECT_LE(std::abs(integer), 16);
  }
}

TEST(PopcountProjectionTest, SidesSharePositionsAndRefreshesDiffer) {
  const Tensor right = popcount({40, 30}, {2, 30}, 1), left = popcount({30, 40}, {30, 2}, 1);
  for (int64_t k = 0; k < 2; ++k)
    for (int64_t j = 0; j < 30; ++j) EXPECT_EQ(right.matrix(0)(k, j), left.matrix(0)(j, k));
  EXPECT_FALSE((popcount({40, 30}, {2, 30}, 1, 1).data == right.data).all());
  EXPECT_FALSE((popcount({40, 30}, {2, 30}, 2).data == right.data).all());
}

// 2^20 entries of variance 1/r: the mean is within five of its standard deviations 2^-10/sqrt(r), and the variance of
// a centred binomial of 32 coins (kurtosis 3 - 2/32) within five of sqrt((2 - 1/16) 2^-20)/r. Seed fixed: no chance.
TEST(PopcountProjectionTest, MeanAndVarianceAreThoseOfTheBinomial) {
  constexpr int64_t kRank = 4, kLength = int64_t{1} << 18;
  const Tensor p = popcount({kLength, kLength}, {kRank, kLength}, 7);
  EXPECT_LE(std::abs(p.data.mean()), 5 * 0x1p-10 / std::sqrt(4.0));
  EXPECT_LE(std::abs(p.data.square().mean() * kRank - 1), 5 * std::sqrt((2 - 1.0 / 16) * 0x1p-20));
}

// |P x|^2/|x|^2 has mean 1 and, over refreshes, variance about 2/r.
TEST(PopcountProjectionTest, NormsArePreservedOnAverage) {
  constexpr int64_t kRank = 8, kLength = 64, kDraws = 4000;
  Vector x(kLength);
  for (int64_t j = 0; j < kLength; ++j) x[j] = std::sin(static_cast<double>(j * j));
  double mean = 0, square = 0;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    const Tensor p = popcount({kLength, kLength}, {kRank, kLength}, 11, draw);
    const double ratio = (p.matrix(0).matrix() * x.matrix()).squaredNorm() / x.matrix().squaredNorm();
    mean += ratio / kDraws;
    square += ratio * ratio / kDraws;
  }
  const double variance = square - mean * mean;
  EXPECT_LE(std::abs(mean - 1), 5 * std::sqrt(2.0 / kRank / kDraws));
  EXPECT_NEAR(variance, 2.0 / kRank, 0.05);
}

TEST(SingularVectorsTest, RowsAreOrthonormalAndCatchTheLargestPart) {
  Tensor g({6, 4});
  // 5 a b^T + c d^T with orthonormal a, c and b, d
  const double half = 0.5;
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 4; ++j) {
      const double a = i < 4 ? half : 0, c = i < 4 ? (i % 2 ? -half : half) : 0;
      const double b = half, d = j % 2 ? -half : half;
      g.matrix(0)(i, j) = 5 * a * b + c * d;
    }
  Tensor p({2, 4});
  singular_vectors()(std::as_const(g).matrix(0), 0, p.matrix(0));
  const auto m = p.matrix(0).matrix();
  EXPECT_NEAR((m * m.transpose() - Eigen::Matrix2d::Identity()).norm(), 0, 1e-14);
  for (int64_t j = 0; j < 4; ++j) EXPECT_NEAR(std::abs(m(0, j)), half, 1e-14);
}

}  // namespace
}  // namespace plumbline::reference
