#include "reference/transforms/nonfinite.h"

#include <gtest/gtest.h>

#include <cmath>

#include "reference/dialects/plumbline.h"

namespace plumbline::reference {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Case {
  Tensor p{{2, 3}}, g{{2, 3}};
  StepRecord record;

  Case() {
    p.data << 1, 2, 3, 4, 5, 6;
    g.data << 1, kNaN, -2, 0x1p50, -kInf, 0.5;
  }
  Optimizer optimizer(Nonfinite policy, bool factored) const {
    PlumblineOptions options;
    options.nonfinite = policy;
    options.factored = factored;
    return make_plumbline(options, p.shape);
  }
};

TEST(NonfiniteTest, ZeroCountsAndReplacesWhatIsNotFiniteOrTooLarge) {
  for (const bool factored : {true, false}) {
    Case with, clean;
    clean.g.data << 1, 0, -2, 0, 0, 0.5;
    with.optimizer(Nonfinite::zero, factored).step(with.p, with.g, &with.record);
    clean.optimizer(Nonfinite::zero, factored).step(clean.p, clean.g, &clean.record);
    EXPECT_EQ(with.record.nonfinite, 3);
    EXPECT_EQ(clean.record.nonfinite, 0);
    EXPECT_TRUE((with.p.data == clean.p.data).all());
    EXPECT_TRUE((with.record.gradient.data == clean.g.data).all());
  }
}

TEST(NonfiniteTest, LargestAdmittedGradientIsBelowTheLimit) {
  Case c;
  c.g.data << 1, 1, std::nextafter(0x1p50, 0), -std::nextafter(0x1p50, 0), 1, 1;
  c.optimizer(Nonfinite::zero, true).step(c.p, c.g, &c.record);
  EXPECT_EQ(c.record.nonfinite, 0);
  c.g.data[0] = -0x1p50;
  c.optimizer(Nonfinite::zero, true).step(c.p, c.g, &c.record);
  EXPECT_EQ(c.record.nonfinite, 1);
}

TEST(NonfiniteTest, SkipLeavesParameterStateAndClock) {
  for (const bool factored : {true, false}) {
    Case c;
    Optimizer optimizer = c.optimizer(Nonfinite::skip, factored);
    Tensor finite = c.g;
    finite.data.setConstant(0.25);
    optimizer.step(c.p, finite);
    const Slot slot = factored ? Slot::row : Slot::second_moment;
    const Tensor before = c.p, state = *optimizer.state(slot);
    optimizer.step(c.p, c.g, &c.record);
    EXPECT_TRUE(c.record.skipped);
    EXPECT_EQ(c.record.step, 2);
    EXPECT_EQ(c.record.nonfinite, 3);
    EXPECT_EQ(c.record.row.size() + c.record.second_moment.size() + c.record.update.size(), 0);
    EXPECT_TRUE((c.p.data == before.data).all());
    EXPECT_TRUE((optimizer.state(slot)->data == state.data).all());
    EXPECT_EQ(optimizer.step_count(), 1);
  }
}

TEST(NonfiniteTest, PropagateLetsThemIn) {
  for (const bool factored : {true, false}) {
    Case c;
    c.optimizer(Nonfinite::propagate, factored).step(c.p, c.g, &c.record);
    EXPECT_EQ(c.record.nonfinite, 3);
    EXPECT_TRUE(std::isnan(c.p.data[0]));
    EXPECT_TRUE(std::isnan(c.record.gradient.data[1]));
  }
}

TEST(NonfiniteTest, InfiniteLimitRefusesOnlyWhatIsNotFinite) {
  Tensor p({4}), g({4});
  g.data << std::numeric_limits<double>::max(), kInf, kNaN, -std::numeric_limits<double>::max();
  StepRecord record;
  Step step(1, p, g, &record);
  NonfinitePolicy(Nonfinite::propagate).apply(step);
  EXPECT_EQ(record.nonfinite, 2);
}

}  // namespace
}  // namespace plumbline::reference
