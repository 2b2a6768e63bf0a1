#include "harness/drift/closed_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

Problem stored_as(Storage storage) {
  Problem p;
  p.storage = storage;
  p.min_quantized_size = 1;
  return p;
}

TEST(ClosedLoop, EveryTrainingLearnsAndFloat32StaysNearDouble) {
  const auto subject = make_subject("host");
  for (const std::string training : {"quadratic", "logistic", "net"}) {
    const Variant fp32{"fp32", stored_as(Storage::fp32)};
    std::atomic<int> runs = 0;
    const ClosedLoop loop = run_closed_loop(training, {&fp32, 1}, *subject, 150, 1, 3, [&] { ++runs; });
    EXPECT_EQ(runs, 6);
    ASSERT_EQ(loop.curves.size(), 2u);
    const ClosedLoopCurve &truth = loop.curves[0], &subject_curve = loop.curves[1];
    ASSERT_EQ(truth.loss.size(), loop.steps.size());
    EXPECT_EQ(loop.steps.back(), 150);
    EXPECT_LT(truth.loss.back().mean, 0.9 * truth.loss.front().mean) << training;
    EXPECT_EQ(truth.loss.front().mean, subject_curve.loss.front().mean);
    // float32 is 6e-8 from double in each of 150 steps; trainings multiply that, but not to a thousandth
    EXPECT_LT(subject_curve.apart.back().mean, 1e-3) << training;
    EXPECT_GT(subject_curve.apart.back().mean, 0) << training;
    EXPECT_EQ(subject_curve.diverged, 0);
  }
}

TEST(ClosedLoop, CoarserStorageEndsFurtherAway) {
  const auto subject = make_subject("host");
  const Variant variants[] = {{"al8", stored_as(Storage::al8)}, {"log_u8", stored_as(Storage::log_u8)}};
  const ClosedLoop loop = run_closed_loop("quadratic", variants, *subject, 200, 1, 3);
  EXPECT_GT(loop.curves[2].apart.back().mean, loop.curves[1].apart.back().mean);
  EXPECT_GT(loop.curves[1].apart.back().mean, 1e-4);
}

// eps1 of the size of the squares: the update is not that of another scale.
TEST(ClosedLoop, TheReferenceSeesGradientsTimesTheirMultiplier) {
  const auto subject = make_subject("host");
  Variant scaled{"fp32", stored_as(Storage::fp32)};
  scaled.problem.options.eps1 = 1e-2;
  scaled.problem.gradient_scale = 0.25;
  const ClosedLoop loop = run_closed_loop("quadratic", {&scaled, 1}, *subject, 60, 1, 2);
  EXPECT_LT(loop.curves[1].apart.back().mean, 1e-3);
}

TEST(ClosedLoop, TellsBeforehandHowManyRunsItTakes) {
  const auto subject = make_subject("host");
  Variant other{"other", stored_as(Storage::fp32)};
  other.problem.options.clip = 0;
  const Variant variants[] = {{"fp32", stored_as(Storage::fp32)}, {"al8", stored_as(Storage::al8)}, other};
  size_t runs = 0;
  run_closed_loop("quadratic", variants, *subject, 2, 1, 3, [&] { ++runs; });
  EXPECT_EQ(runs, 15u);
  EXPECT_EQ(closed_loop_runs(variants, 3), runs);
}

TEST(ClosedLoop, IntervalsAreStudents) {
  const double values[] = {1.0, 2.0, 3.0};
  const Estimate e = estimate(values);
  EXPECT_DOUBLE_EQ(e.mean, 2);
  EXPECT_NEAR(e.half_width, 4.302653 / std::sqrt(3.0), 1e-6);  // t(0.975, 2), deviation 1
  EXPECT_EQ(estimate({values, 1}).half_width, std::numeric_limits<double>::infinity());
  const auto subject = make_subject("host");
  const Variant one{"fp32", stored_as(Storage::fp32)};
  EXPECT_THROW(run_closed_loop("nothing", {&one, 1}, *subject, 10, 1, 1), InputError);
  EXPECT_THROW(run_closed_loop("net", {}, *subject, 10, 1, 1), InputError);
  EXPECT_THROW(run_closed_loop("net", {&one, 1}, *subject, 10, 1, 0), InputError);
}

}  // namespace
}  // namespace plumbline::harness
