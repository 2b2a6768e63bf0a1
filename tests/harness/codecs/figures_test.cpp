#include "harness/codecs/figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace plumbline::harness::codecs {
namespace {

constexpr auto kV = StateKind::second_moment, kM = StateKind::momentum;

TEST(CodecFigures, AreRelativeNormsOfValuesAndUpdates) {
  const std::vector<double> v{4, 1}, g{2, 3};
  const StoredValues stored{{1, 1}, {{0.5, 8}, {1, 1}}};
  const Figures f = measure(kV, v, g, stored);
  EXPECT_DOUBLE_EQ(f.values.measured, 3 / std::sqrt(17.0));
  EXPECT_DOUBLE_EQ(f.values.bound, 4 / std::sqrt(17.0));
  EXPECT_DOUBLE_EQ(f.update.measured, 1 / std::sqrt(10.0));  // u = (1, 3), u' = (2, 3)
  EXPECT_DOUBLE_EQ(f.update.bound, 2 * (1 / std::sqrt(0.5) - 0.5) / std::sqrt(10.0));
  EXPECT_DOUBLE_EQ(f.worst.measured, 1);  // 1/sqrt(v) doubled
  EXPECT_DOUBLE_EQ(f.half.measured, 0);
  EXPECT_NEAR(f.update_eps.measured, f.update.measured, 1e-7);
  EXPECT_EQ(f.false_zeros.measured, 0);
  EXPECT_TRUE(f.within());
}

TEST(CodecFigures, AValueReadBackAsZeroSaturatesItsUpdateAndIsCounted) {
  const std::vector<double> v{1, 1, 0}, g{1, 1, 0};
  const Figures f = measure(kV, v, g, {{0, 1, 0}, {{0, 1}, {1, 1}, {0, 0}}});
  EXPECT_DOUBLE_EQ(f.false_zeros.measured, 0.5);  // of the two that are not 0
  EXPECT_DOUBLE_EQ(f.false_zeros.bound, 0.5);
  EXPECT_NEAR(f.worst.measured, 0x1p63, 1e3);
  EXPECT_TRUE(f.within());
}

TEST(CodecFigures, TellWhatPassesItsBound) {
  const std::vector<double> v{4, 1}, g{2, 3};
  EXPECT_FALSE(measure(kV, v, g, {{1, 1}, {{2, 8}, {1, 1}}}).within());
  EXPECT_FALSE(measure(kV, v, g, {{0, 1}, {{2, 8}, {1, 1}}}).within());
  EXPECT_FALSE(measure(kM, v, {}, {{1, 1}, {{2, 4}, {1, 1}}}).within());
  EXPECT_TRUE(measure(kM, v, {}, {{2, 1}, {{2, 4}, {1, 1}}}).within());
}

TEST(CodecFigures, ANaNNeverPasses) {
  const std::vector<double> v{4, 1}, g{2, 3};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(measure(kV, v, g, {{nan, 1}, {{2, 8}, {1, 1}}}).within());
  EXPECT_FALSE(measure(kM, v, {}, {{nan, 1}, {{2, 8}, {1, 1}}}).within());
  EXPECT_FALSE(measure(kV, v, g, {{nan, nan}, {{nan, nan}, {nan, nan}}}).within());
  EXPECT_FALSE((Figure{nan, nan}).within());
  EXPECT_TRUE(Figure().within());  // not taken
  EXPECT_FALSE((Figure{nan, 1}).within());
  EXPECT_FALSE((Figure{1, nan}).within());
  EXPECT_TRUE((Figure{1, std::numeric_limits<double>::infinity()}).within());
}

TEST(CodecFigures, MomentumIsItsOwnUpdate) {
  const std::vector<double> m{3, -4, 0};
  const Figures f = measure(kM, m, {}, {{3, -3, 1}, {{3, 3}, {-5, -3}, {-1, 1}}});
  EXPECT_DOUBLE_EQ(f.values.measured, 0.2);                 // over what is not 0
  EXPECT_DOUBLE_EQ(f.update.measured, std::sqrt(2.0) / 5);  // a 0 that moved counts
  EXPECT_FALSE(f.update_eps.taken);
  EXPECT_DOUBLE_EQ(f.worst.measured, 1 / std::sqrt(25.0 / 3));
}

}  // namespace
}  // namespace plumbline::harness::codecs
