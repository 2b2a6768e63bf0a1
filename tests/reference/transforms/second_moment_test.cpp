// Averages, eps1 injection, reconstruction and precondition, against values worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/precondition.h"

namespace plumbline::reference {
namespace {

Tensor tensor(Shape shape, std::initializer_list<double> values) {
  Tensor out(std::move(shape));
  std::copy(values.begin(), values.end(), out.data.begin());
  return out;
}

TEST(ScheduleTest, WeightsAddUpWithoutCancellation) {
  const Weights first = DecaySchedule::power(-0.8).at(1);
  EXPECT_EQ(first.sample, 1);
  EXPECT_EQ(first.old, 0);
  const Weights flat = DecaySchedule::power(-1e-12).at(3);  // 1 - e^-x = x - x^2/2
  const double x = 1e-12 * std::log(3.0);
  EXPECT_NEAR(flat.old, x - x * x / 2, 1e-27);
  const Weights fixed = DecaySchedule::fixed(0.75).at(9);
  EXPECT_EQ(fixed.sample, 0.25);
  EXPECT_EQ(fixed.old, 0.75);
}

TEST(FactoredMomentTest, FirstStepHoldsMeanSquaresPlusEps1) {
  Tensor p({2, 2});
  const Tensor g = tensor({2, 2}, {1, 2, 3, 4});
  FactoredMoment moment(p.shape, {0, 1}, {.schedule = {}, .eps1 = 0.5});
  Step step(1, p, g, nullptr);
  moment.apply(step);
  EXPECT_TRUE((moment.state(Slot::row)->data == tensor({2}, {3, 13}).data).all());      // (1+4)/2, (9+16)/2
  EXPECT_TRUE((moment.state(Slot::col)->data == tensor({2}, {5.5, 10.5}).data).all());  // (1+9)/2, (4+16)/2
  EXPECT_EQ((*step.moment.normalizer)[0], 8);
}

TEST(FactoredMomentTest, SecondStepAveragesWithTheOldState) {
  Tensor p({1, 2});
  const Tensor g = tensor({1, 2}, {2, 4});
  FactoredMoment moment(p.shape, {0, 1}, {.schedule = DecaySchedule::fixed(0.75)});
  moment.state(Slot::row)->data << 2;
  moment.state(Slot::col)->data << 8, 4;
  Step step(7, p, g, nullptr);
  moment.apply(step);
  EXPECT_EQ(moment.state(Slot::row)->data[0], 0.75 * 2 + 0.25 * 10);
  EXPECT_EQ(moment.state(Slot::col)->data[0], 0.75 * 8 + 0.25 * 4);
  EXPECT_EQ(moment.state(Slot::col)->data[1], 0.75 * 4 + 0.25 * 16);
}

TEST(FactoredMomentTest, NormalizerCanBeASumAndHasAFloor) {
  Tensor p({2, 1});
  const Tensor g = tensor({2, 1}, {1, 2});
  FactoredMoment sum(p.shape, {0, 1}, {.schedule = {}, .normalizer = Normalizer::sum});
  Step step(1, p, g, nullptr);
  sum.apply(step);
  EXPECT_EQ((*step.moment.normalizer)[0], 5);
  FactoredMoment floored(p.shape, {0, 1}, {.schedule = {}, .normalizer_floor = 7});
  floored.apply(step);
  EXPECT_EQ((*step.moment.normalizer)[0], 7);
}

TEST(PreconditionTest, FactoredUpdateOfARankOneGradientIsItsSign) {
  Tensor p({2, 3});
  const Tensor g = tensor({2, 3}, {1, -2, 4, 2, -4, 8});
  FactoredMoment moment(p.shape, {0, 1}, {});
  Precondition precondition;
  Step step(1, p, g, nullptr);
  moment.apply(step);
  precondition.apply(step);
  for (int64_t k = 0; k < 6; ++k) EXPECT_NEAR(step.update().data[k], k % 3 == 1 ? -1 : 1, 4e-16);
  EXPECT_NEAR(step.update_rms(), 1, 4e-16);
}

TEST(PreconditionTest, FullUpdateIsGradientOverRoot) {
  Tensor p({2});
  const Tensor g = tensor({2}, {3, -5});
  FullMoment moment(p.shape, {.schedule = DecaySchedule::fixed(0.75), .eps1 = 0});
  Precondition precondition({.floor = 0, .eps = 0.5});
  Step step(1, p, g, nullptr);
  moment.apply(step);
  precondition.apply(step);
  EXPECT_EQ(step.update().data[0], 3 / (1.5 + 0.5));
  EXPECT_EQ(step.update().data[1], -5 / (2.5 + 0.5));
}

TEST(PreconditionTest, FloorsBoundTheSecondMomentFromBelow) {
  Tensor p({2, 2});
  const Tensor g = tensor({2, 2}, {0, 0, 0, 4});  // a zero row and a zero column
  FactoredMoment moment(p.shape, {0, 1}, {.schedule = {}, .normalizer_floor = 1e-3});
  Precondition precondition({.floor = 0.25});
  Step step(1, p, g, nullptr);
  moment.apply(step);
  precondition.apply(step);
  EXPECT_EQ(step.update().data[0], 0);
  EXPECT_EQ(step.update().data[3], 1);  // V^ = 8 * 8 / 4

  FullMoment full(p.shape, {});
  full.apply(step);
  step.set_update(g);
  precondition.apply(step);
  EXPECT_EQ(step.update().data[0], 0);
  EXPECT_EQ(step.update().data[3], 1);
}

TEST(PreconditionTest, FloorsDoNotSwallowNaN) {
  Tensor p({2, 2});
  const Tensor g = tensor({2, 2}, {1, 2, 3, std::numeric_limits<double>::quiet_NaN()});
  for (const double floor : {0.0, 1e-3})
    for (const double eps : {0.0, 1e-3}) {
      FactoredMoment factored(p.shape, {0, 1}, {.schedule = {}, .factor_floor = floor});
      FullMoment full(p.shape, {});
      Precondition precondition({.floor = floor, .eps = eps});
      Step a(1, p, g, nullptr), b(1, p, g, nullptr);
      factored.apply(a);
      precondition.apply(a);
      EXPECT_TRUE(a.update().data.isNaN().all());  // NaN in the mean of R
      full.apply(b);
      precondition.apply(b);
      EXPECT_FALSE(b.update().data.head(3).isNaN().any());
      EXPECT_TRUE(std::isnan(b.update().data[3]));
    }
}

TEST(PreconditionTest, TransposedAxesGiveTheTransposedUpdate) {
  Tensor p({2, 3}), q({3, 2});
  const Tensor g = tensor({2, 3}, {1, 2, 3, 4, 5, 7});
  const Tensor h = tensor({3, 2}, {1, 4, 2, 5, 3, 7});
  FactoredMoment a(p.shape, {0, 1}, {}), b(q.shape, {1, 0}, {});
  Precondition precondition_a, precondition_b;
  Step step_a(1, p, g, nullptr), step_b(1, q, h, nullptr);
  a.apply(step_a), b.apply(step_b);
  precondition_a.apply(step_a), precondition_b.apply(step_b);
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      EXPECT_NEAR(step_a.update().data[i * 3 + j], step_b.update().data[j * 2 + i], 1e-15);
}

}  // namespace
}  // namespace plumbline::reference
