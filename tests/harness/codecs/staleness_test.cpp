#include "harness/codecs/staleness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::harness::codecs {
namespace {

using reference::Rounding;

TEST(CodecStaleness, DistributionFunctionsAreThoseOfTheSamples) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal;
  for (const int columns : {1, 16, 64}) {
    const SampleLaw law{true, columns, 3};
    std::gamma_distribution<double> gamma(columns / 2.0, 6.0 / columns);
    constexpr int kDraws = 40000;
    for (const double x : {1.0, 2.5, 3.0, 4.5}) {
      int below = 0;
      for (int i = 0; i < kDraws; ++i) below += gamma(random) < x;
      // six standard deviations of the count; Wilson and Hilferty are within 0.002 from 16 degrees of freedom on
      EXPECT_NEAR(law.below(x), double(below) / kDraws, 6 * std::sqrt(0.25 / kDraws) + 0.002) << columns << " " << x;
    }
  }
  EXPECT_DOUBLE_EQ((SampleLaw{false, 1, 2, 1}).below(1), 0.5);
  EXPECT_EQ((SampleLaw{true, 1, 2}).below(-1), 0);
}

TEST(CodecStaleness, ACodeStaysWhileTheSampleIsWithinTheThreshold) {
  const SampleLaw law{false, 1, 1};
  // x = 0 in a cell of +-0.2: the sample must be within +-2
  EXPECT_NEAR(stay_probability(law, 0.1, 0, {-0.2, 0.2}), std::erf(2 / std::sqrt(2.0)), 1e-12);
  EXPECT_EQ(stay_probability(law, 0.1, 0, {-10, 10}), 1);
}

TEST(CodecStaleness, WindowVarianceIsItsSum) {
  double sum = 0;
  for (int k = 0; k < 10; ++k) sum += std::pow(0.9, 2 * k);
  EXPECT_NEAR(window_variance(0.1, 10), sum, 1e-12);
}

TEST(CodecStaleness, NothingIsStaleWithoutRoundingAndEverythingUnderAWideStep) {
  const SampleLaw law{true, 1, 1};
  EXPECT_EQ(predict_stale(law, 0.01, 1, {1, 1}, Rounding::nearest), 0);
  EXPECT_GE(predict_stale(law, 0.01, 1, {0, 1000}, Rounding::nearest), 0.999);
  EXPECT_LE(predict_stale(law, 0.01, 1, {0.9999, 1.0001}, Rounding::stochastic), 0.02);
}

// A random walk on a grid under stochastic rounding, against the closed form.
TEST(CodecStaleness, PredictsAWalkUnderStochasticRounding) {
  std::mt19937_64 random(12);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  constexpr double kWeight = 0.01;
  for (const double gap : {0.02, 0.2, 1.0}) {
    constexpr int kWalks = 3000;
    int stale = 0;
    for (int walk = 0; walk < kWalks; ++walk) {
      double stored = 0, exact = 0;
      for (int t = 0; t < 100; ++t) {
        const double g = normal(random), x = stored + kWeight * (g - stored);
        exact += kWeight * (g - exact);
        stored = (std::floor(x / gap) + (uniform(random) < x / gap - std::floor(x / gap) ? 1 : 0)) * gap;
      }
      stale += std::abs(stored) < 0.5 * std::abs(exact);
    }
    const SampleLaw law{false, 1, 1};
    const double predicted = predict_stale(law, kWeight, 0, {-gap / 2, gap / 2}, Rounding::stochastic);
    EXPECT_NEAR(double(stale) / kWalks, predicted, 0.05) << gap;  // the closed form takes the noise for normal
  }
}

}  // namespace
}  // namespace plumbline::harness::codecs
