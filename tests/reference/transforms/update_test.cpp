// Transforms of the update, against values worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/transforms/bias_correction.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/confidence.h"
#include "reference/transforms/coupled_decay.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/momentum.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

namespace plumbline::reference {
namespace {

Tensor tensor(Shape shape, std::initializer_list<double> values) {
  Tensor out(std::move(shape));
  std::copy(values.begin(), values.end(), out.data.begin());
  return out;
}

// The update so far, scaled.
Vector update(const Step& step) { return step.scale * step.update().data; }

TEST(MomentumTest, AveragesTheScaledUpdate) {
  Tensor p({2});
  const Tensor g = tensor({2}, {4, -8});
  Momentum momentum(p.shape, 0.75);
  momentum.state(Slot::momentum)->data << 1, 2;
  Step step(3, p, g, nullptr);
  step.scale = 0.5;
  momentum.apply(step);
  EXPECT_EQ(update(step)[0], 0.75 * 1 + 0.25 * 2);
  EXPECT_EQ(update(step)[1], 0.75 * 2 - 0.25 * 4);
}

TEST(ClipTest, ActsAboveTheThresholdOnly) {
  Tensor p({2});
  const Tensor g = tensor({2}, {1, 7});  // RMS 5
  for (const double d : {10.0, 5.0, 2.5}) {
    StepRecord record;
    Step step(1, p, g, &record);
    ClipByRms(d).apply(step);
    EXPECT_EQ(record.update_rms, 5);
    EXPECT_EQ(record.clip, std::max(1.0, 5 / d));
    EXPECT_EQ(step.scale, 1 / record.clip);
  }
}

TEST(ClipTest, NaNDoesNotPassAsOne) {
  Tensor p({1});
  const Tensor g = tensor({1}, {std::numeric_limits<double>::quiet_NaN()});
  Step step(1, p, g, nullptr);
  ClipByRms(1).apply(step);
  EXPECT_TRUE(std::isnan(step.scale));
}

TEST(ClipTest, CanLookAtTheNormBeforeTheLimiter) {
  Tensor p({1});
  const Tensor first = tensor({1}, {1}), second = tensor({1}, {8});
  Limiter limiter;
  Step one(1, p, first, nullptr), two(2, p, second, nullptr);
  limiter.apply(one), limiter.apply(two);
  ClipByRms(2, ClipOn::before_limiter).apply(two);
  EXPECT_NEAR(update(two)[0], 1.01 / 4, 1e-8);
}

TEST(LimiterTest, FirstStepOnlyRecordsAndGrowthIsBounded) {
  Limiter limiter({.margin = 0.25});
  EXPECT_EQ(limiter.limit(1, 4), 1);
  EXPECT_EQ(limiter.state(Slot::previous_norm)->data[0], 4);
  EXPECT_EQ(limiter.limit(2, 4.5), 1);  // within 1.25 of 4
  EXPECT_EQ(limiter.state(Slot::previous_norm)->data[0], 4.5);
  EXPECT_NEAR(limiter.limit(3, 11.25), 2, 1e-8);
  EXPECT_NEAR(limiter.state(Slot::previous_norm)->data[0], 1.25 * 4.5, 1e-7);
}

TEST(LimiterTest, SmallPreviousNormCanCountAsNone) {
  Limiter strict, forgetful({.margin = 0.01, .record_below = 1e-6});
  strict.limit(1, 0), forgetful.limit(1, 0);
  EXPECT_GT(strict.limit(2, 1), 1e7);
  EXPECT_EQ(forgetful.limit(2, 1), 1);
}

TEST(BiasCorrectionTest, DividesTheBiasOut) {
  Tensor p({1});
  const Tensor g = tensor({1}, {1});
  Step both(2, p, g, nullptr), one(2, p, g, nullptr);
  BiasCorrection(0.5, 0.75).apply(both);
  BiasCorrection(0.5).apply(one);
  EXPECT_DOUBLE_EQ(both.scale, std::sqrt(1 - 0.75 * 0.75) / (1 - 0.25));
  EXPECT_DOUBLE_EQ(one.scale, 1 / (1 - 0.25));
}

TEST(StepSizeTest, RelativeStepIsCappedAndWarmedUp) {
  Tensor p = tensor({2}, {3, -3});
  const Tensor g({2});
  const auto alpha = [&](int64_t t, const StepSizeOptions& options) {
    Step step(t, p, g, nullptr);
    StepSize(options).apply(step);
    return step.step_size;
  };
  EXPECT_EQ(alpha(4, {.lr = 0.1, .relative = true, .scale_parameter = false}), 0.1);
  EXPECT_EQ(alpha(400, {.lr = 0.1, .relative = true, .scale_parameter = false}), 0.05);
  EXPECT_EQ(alpha(400, {.lr = 0.1, .relative = false, .scale_parameter = false}), 0.1);
  EXPECT_EQ(alpha(4, {.lr = 0.1, .relative = true, .warmup = 0.125, .scale_parameter = false}), 0.5);
  EXPECT_EQ(alpha(2, {.lr = 0.1, .relative = true, .warmup = 0.125, .scale_parameter = false}), 0.25);
  EXPECT_EQ(alpha(1, {.lr = 0.5, .scale_parameter = true, .eps2 = 1}), 1.5);
  EXPECT_EQ(alpha(1, {.lr = 0.5, .scale_parameter = true, .eps2 = 4}), 2);
}

TEST(DecayTest, PlaceInTheChainDecides) {
  const Tensor g = tensor({1}, {1});
  const auto run = [&](std::initializer_list<Transform*> chain) {
    Tensor p = tensor({1}, {8});
    Step step(1, p, g, nullptr);
    for (Transform* transform : chain) transform->apply(step);
    return p.data[0];
  };
  WeightDecay decay({.weight_decay = 0.5, .by = DecayScale::lr, .lr = 0.5});
  CoupledDecay coupled(0.5);
  Descend descend;
  EXPECT_EQ(run({&decay, &descend}), 8 * 0.75 - 1);
  EXPECT_EQ(run({&descend, &decay}), (8 - 1) * 0.75);
  EXPECT_EQ(run({&coupled, &descend}), 8 - (1 + 0.5 * 8));
}

TEST(ConfidenceTest, OneElementByHand) {
  // u = 4: M = 0.5 * 4 = 2, S = (4 - 2)^2 + 1 = 5, averages 0.25 * 5, update 2/sqrt(1.25)
  Tensor p({1, 1});
  const Tensor g = tensor({1, 1}, {4});
  Confidence confidence(p.shape, {0, 1}, {.beta1 = 0.5, .beta3 = 0.75, .eps2 = 1});
  Step step(1, p, g, nullptr);
  confidence.apply(step);
  EXPECT_EQ(confidence.state(Slot::momentum)->data[0], 2);
  EXPECT_EQ(confidence.state(Slot::confidence_row)->data[0], 1.25);
  EXPECT_EQ(confidence.state(Slot::confidence_col)->data[0], 1.25);
  EXPECT_DOUBLE_EQ(update(step)[0], 2 / std::sqrt(1.25));
}

}  // namespace
}  // namespace plumbline::reference
