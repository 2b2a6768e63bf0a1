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

// Losses beside 1, whose scatter is that of the pairs alone.
LossVerdict against_one(const std::vector<double>& differences, double declared) {
  std::vector<double> losses, ones(differences.size(), 1.0);
  for (const double d : differences) losses.push_back(1 + d);
  return judge_loss(losses, ones, declared);
}

TEST(JudgeLoss, IsStudentsTestOfPairsToOneSideAgainstWhatIsDeclared) {
  const LossVerdict v = against_one({0.01, 0.03, 0.02}, 0);  // mean 0.02, deviation 0.01
  EXPECT_NEAR(v.mean, 0.02, 1e-12);
  EXPECT_NEAR(v.pairs, 6.964557 * 0.01 / std::sqrt(3.0), 1e-8);  // t(0.99, 2)
  EXPECT_EQ(v.seeds, 0);
  EXPECT_FALSE(v.red);
  EXPECT_FALSE(v.lower);
  const std::vector<double> steady = {0.0199, 0.0201, 0.02};
  EXPECT_TRUE(against_one(steady, 0).red);
  EXPECT_FALSE(against_one(steady, 0.02).red);
  EXPECT_TRUE(against_one(steady, 0.0194).red);
  const LossVerdict lower = against_one({-0.0199, -0.0201, -0.02}, 0);
  EXPECT_FALSE(lower.red);
  EXPECT_TRUE(lower.lower);
}

TEST(JudgeLoss, ALossWithinWhatSeedsDoIsGreenAndSaid) {
  const std::vector<double> of_double = {0.9, 1.0, 1.1};  // deviation 0.1
  std::vector<double> losses;
  for (const double x : of_double) losses.push_back(1.01 * x);
  const LossVerdict v = judge_loss(losses, of_double, 0);
  EXPECT_NEAR(v.pairs, 0, 1e-12);
  EXPECT_NEAR(v.seeds, 3.746947 * 0.1 * std::sqrt(2.0 / 3), 1e-6);  // t(0.99, 4)
  EXPECT_FALSE(v.red);
  EXPECT_EQ(to_string(v), "green: above double, by less than seeds explain");
  for (double& x : losses) x *= 1.4;
  EXPECT_TRUE(judge_loss(losses, of_double, 0).red);
}

TEST(JudgeLoss, WhatDivergedIsRedAndOneTrainingIsNoVerdict) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double odd : {nan, infinity, -infinity}) {
    EXPECT_TRUE(against_one({0.0, odd, 0.0}, 1).red) << odd;
    EXPECT_EQ(to_string(against_one({0.0, odd, 0.0}, 1)), "red: diverged");
  }
  EXPECT_FALSE(against_one({0.0, 0.0}, 0).red);
  EXPECT_THROW(against_one({0.0}, 0), InputError);
}

TEST(JudgeLoss, CallsNoiseRedAtMostAsOftenAsItsLevelSays) {
  std::mt19937_64 engine(5);
  std::normal_distribution<double> normal;
  int pairs = 0, seeds = 0;
  constexpr int kTrials = 20000;
  for (int i = 0; i < kTrials; ++i) {
    std::vector<double> differences(10), losses(10), of_double(10);
    for (double& v : differences) v = 0.03 + 0.01 * normal(engine);
    pairs += against_one(differences, 0.03).red;
    for (double& v : losses) v = 1 + 0.01 * normal(engine);  // another path altogether, as good
    for (double& v : of_double) v = 1 + 0.01 * normal(engine);
    seeds += judge_loss(losses, of_double, 0).red;
  }
  const double few = 5 * std::sqrt(kTrials * kLossLevel);  // standard deviations of a binomial
  EXPECT_NEAR(pairs, kTrials * kLossLevel, few);
  EXPECT_LE(seeds, kTrials * kLossLevel + few);
  EXPECT_GE(seeds, kTrials * kLossLevel / 10);
}

Variant momentum_in(std::string_view words) {
  return {std::string(words), parse_problem("min_quantized_size=1 storage=al16 beta1=0.9 beta2=0.999 "
                                            "scale_parameter=false lr=1e-3 " +
                                            std::string(words))};
}

TEST(DeclaredLoss, IsOfTheStoragesInUse) {
  EXPECT_EQ(declared_loss(momentum_in("momentum_storage=uf8").problem), 0);
  EXPECT_GT(declared_loss(momentum_in("momentum_storage=uf4").problem), 0);
  Problem without = momentum_in("momentum_storage=uf4").problem;
  without.options.beta1.reset();
  EXPECT_EQ(declared_loss(without), 0);
  without.options.beta1 = 0.9;
  without.min_quantized_size = without.elements() + 1;
  EXPECT_EQ(declared_loss(without), 0);
  for (const DeclaredLoss& d : declared_losses()) {
    EXPECT_GT(d.loss, 0);
    EXPECT_FALSE(std::string(d.source).empty());
  }
}

// Dither reads a zero as a part of a step, and the root of a second moment that has none divides it.
TEST(LossVerdict, AResidueWhereGradientsAreZeroIsRed) {
  const auto subject = make_stored_reference(false);  // refused in a problem now, and once harmless where V is raised
  Variant dither = momentum_in("momentum_storage=uf8 momentum_rounding=stochastic");
  dither.problem.momentum_rounding = Rounding::dither;
  const Variant variants[] = {momentum_in("momentum_storage=fp32"), momentum_in("momentum_storage=bf16"), dither};
  const ClosedLoop loop = run_closed_loop("net", variants, *subject, 400, 1, 2);
  EXPECT_FALSE(loop.curves[1].verdict.red) << loop.curves[1].verdict.mean;
  EXPECT_FALSE(loop.curves[2].verdict.red) << loop.curves[2].verdict.mean;
  EXPECT_TRUE(loop.curves[3].verdict.red) << loop.curves[3].verdict.mean;
  EXPECT_GT(loop.curves[3].verdict.mean, 1);
  EXPECT_FALSE(describe_closed_loop(loop, 2).green);
}

// In double and in float32 the same storage costs the same: at most a part of what it costs.
TEST(StoredReference, CostsWhatProductionCosts) {
  const Variant variant = momentum_in("momentum_storage=uf4 momentum_rounding=stochastic");
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
