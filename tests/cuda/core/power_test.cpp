#include "cuda/core/power.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::core {
namespace {

// x87 arithmetic has 64 bits and its powl an error of a few units in the 2^-64: enough to see 2^-50 and 2^-53.
double relative(double got, long double truth) { return double(std::fabs((got - truth) / truth)); }

TEST(DecayPower, IsOneAtTheFirstStepAndWithoutDecay) {
  for (double a : {-0.8, -1.0, -1e-300, 0.0}) {
    const PowerResult w = decay_power(1.0, a);
    EXPECT_EQ(w.w, 1.0);
    EXPECT_EQ(w.one_minus_w, 0.0);
    EXPECT_FALSE(std::signbit(w.one_minus_w));
  }
  EXPECT_EQ(decay_power(12345.0, 0.0).w, 1.0);
  EXPECT_EQ(decay_power(12345.0, 0.0).one_minus_w, 0.0);
}

TEST(DecayPower, IsExactWhereTheTruthIsDyadic) {
  for (int e = 1; e <= 31; ++e) {
    EXPECT_EQ(decay_power(std::ldexp(1.0, e), -1.0).w, std::ldexp(1.0, -e));
    EXPECT_EQ(decay_power(std::ldexp(1.0, e), -1.0).one_minus_w, 1.0 - std::ldexp(1.0, -e));
  }
  EXPECT_EQ(decay_power(1024.0, -0.5).w, 0x1p-5);
}

TEST(DecayPower, BothWeightsKeepTheirRelativePrecision) {
  std::mt19937_64 random(11);
  double worst_w = 0, worst_old = 0;
  for (int i = 0; i < 400000; ++i) {
    const double t = i < 3000 ? 2.0 + i : std::floor(std::exp2(1.0 + std::ldexp(double(random() >> 11), -53) * 30.0));
    const double unit = std::ldexp(double(random() >> 11), -53);
    const double a = i % 4 == 0 ? -0.8 : i % 4 == 1 ? -std::exp2(-60.0 * unit) : -unit;
    const PowerResult got = decay_power(t, a);
    const long double y = static_cast<long double>(a) * std::log(static_cast<long double>(t));
    worst_w = std::max(worst_w, relative(got.w, std::exp(y)));
    worst_old = std::max(worst_old, relative(got.one_minus_w, -std::expm1(y)));
  }
  // the sums in two doubles are far below; what is left is the last rounding to one
  EXPECT_LE(worst_w, 0x1p-52);
  EXPECT_LE(worst_old, 0x1p-52);
}

TEST(DecayPower, FallsWithTime) {
  double previous = 1.0;
  for (int t = 2; t < 100000; ++t) {
    const double w = decay_power(t, -0.8).w;
    ASSERT_LT(w, previous);
    previous = w;
  }
}

}  // namespace
}  // namespace plumbline::core
