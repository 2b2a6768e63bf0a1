#include "harness/drift/declared.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "harness/drift/closed_loop.h"
#include "harness/drift/stored_reference.h"
#include "harness/drift/study.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

TEST(JudgeLoss, IsStudentsTestToOneSideAgainstWhatIsDeclared) {
  const double values[] = {0.01, 0.03, 0.02};  // mean 0.02, deviation 0.01
  const LossVerdict v = judge_loss(values, 0);
  EXPECT_DOUBLE_EQ(v.mean, 0.02);
  EXPECT_NEAR(v.limit, 6.964557 * 0.01 / std::sqrt(3.0), 1e-8);  // t(0.99, 2)
  EXPECT_FALSE(v.red);
  const double steady[] = {0.0199, 0.0201, 0.02};
  EXPECT_TRUE(judge_loss(steady, 0).red);
  EXPECT_FALSE(judge_loss(steady, 0.02).red);
  EXPECT_TRUE(judge_loss(steady, 0.0194).red);
  const double lower[] = {-0.0199, -0.0201, -0.02};
  EXPECT_FALSE(judge_loss(lower, 0).red);
  EXPECT_TRUE(judge_loss(lower, 0).lower);
  EXPECT_FALSE(v.lower);
}

TEST(JudgeLoss, WhatDivergedIsRedAndOneTrainingIsNoVerdict) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double odd : {nan, infinity, -infinity}) {
    const double values[] = {0.0, odd, 0.0};
    EXPECT_TRUE(judge_loss(values, 1).red) << odd;
    EXPECT_EQ(to_string(judge_loss(values, 1)), "red: diverged");
  }
  const double same[] = {0.0, 0.0};
  EXPECT_FALSE(judge_loss(same, 0).red);
  EXPECT_THROW(judge_loss({same, 1}, 0), InputError);
}

TEST(JudgeLoss, CallsNoiseRedAsOftenAsItsLevelSays) {
  std::mt19937_64 engine(5);
  std::normal_distribution<double> normal;
  int red = 0;
  constexpr int kTrials = 20000;
  for (int i = 0; i < kTrials; ++i) {
    std::vector<double> values(10);
    for (double& v : values) v = 0.03 + 0.1 * normal(engine);
    red += judge_loss(values, 0.03).red;
  }
  // five standard deviations of a binomial
  EXPECT_NEAR(red, kTrials * kLossLevel, 5 * std::sqrt(kTrials * kLossLevel));
}

Variant momentum_in(std::string_view words) {
  return {std::string(words), parse_problem("min_quantized_size=1 storage=al16 beta1=0.9 beta2=0.999 "
                                            "scale_parameter=false lr=1e-3 " +
                                            std::string(words))};
}

// Dither reads a zero as a part of a step, and the root of a second moment that has none divides it.
TEST(LossVerdict, AResidueWhereGradientsAreZeroIsRed) {
  const auto subject = make_stored_reference();
  const Variant variants[] = {momentum_in("momentum_storage=fp32"), momentum_in("momentum_storage=bf16"),
                              momentum_in("momentum_storage=uf8 momentum_rounding=dither")};
  const ClosedLoop loop = run_closed_loop("net", variants, *subject, 400, 1, 2);
  EXPECT_FALSE(loop.curves[1].verdict.red) << loop.curves[1].verdict.mean;
  EXPECT_FALSE(loop.curves[2].verdict.red) << loop.curves[2].verdict.mean;
  EXPECT_TRUE(loop.curves[3].verdict.red) << loop.curves[3].verdict.mean;
  EXPECT_GT(loop.curves[3].verdict.mean, 1);
  EXPECT_FALSE(describe_closed_loop(loop, 2).green);
}

// In double and in float32 the same storage costs the same: at most a part of what it costs.
TEST(StoredReference, CostsWhatProductionCosts) {
  const Variant variant = momentum_in("momentum_storage=uf4 momentum_rounding=nearest");
  const ClosedLoop mine = run_closed_loop("quadratic", {&variant, 1}, *make_stored_reference(), 200, 1, 3),
                   theirs = run_closed_loop("quadratic", {&variant, 1}, *make_subject("host"), 200, 1, 3);
  const double a = mine.curves[1].apart.back().mean, b = theirs.curves[1].apart.back().mean;
  EXPECT_GT(a, 1e-4);
  EXPECT_NEAR(a, b, 0.2 * a);
}

TEST(StoredReference, HasNoProjection) {
  Problem p;
  p.options.projection_rank = 2;
  EXPECT_FALSE(make_stored_reference()->cannot_run(p).empty());
}

}  // namespace
}  // namespace plumbline::harness
