#include "properties/kill_matrix.h"

#include <gmock/gmock.h>

#include <random>
#include <set>

#include "harness/case.h"
#include "harness/error.h"
#include "harness/mutants.h"
#include "harness/problem.h"
#include "properties/default_tolerances.h"
#include "properties/thresholds.h"

namespace plumbline::properties {
namespace {

using harness::ActiveMutant;
using harness::Quantity;
using testing::HasSubstr;

uint64_t fresh_seed() {
  const uint64_t seed = std::random_device{}() % 1000000;
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

void expect_all_killed(const std::vector<MutantResult>& results, uint64_t seed) {
  for (const MutantResult& r : results) {
    EXPECT_TRUE(r.changes_output) << r.id << " on " << r.subject << ", seed " << seed;
    EXPECT_TRUE(r.killed() || !known_survivor(r.id).empty())
        << r.id << " (" << r.breaks << ") survives on " << r.subject << ", seed " << seed;
  }
  EXPECT_TRUE(describe_mutants(results).green);
}

TEST(KillMatrix, TheQuickSuiteNoticesEveryFaultOfTheTwin) {
  MatrixOptions options;
  options.seed = fresh_seed();
  const auto results = run_mutants("host", options);
  EXPECT_GE(results.size(), 60u);
  expect_all_killed(results, options.seed);
}

TEST(KillMatrix, TheEmulatorNoticesEveryFaultThatKernelsAloneHave) {
  MatrixOptions options;
  options.seed = fresh_seed();
  options.kernels_alone = true;
  expect_all_killed(run_mutants("emulator", options), options.seed);
}

TEST(KillMatrix, TheTableNamesKnownStagesAndEachFaultOnce) {
  std::set<std::string> quantities, ids;
  for (int q = 0; q < harness::kQuantities; ++q) quantities.insert(to_string(Quantity(q)));
  for (const auto& mutant : harness::optimizer_mutants()) {
    EXPECT_TRUE(quantities.contains(mutant.stage)) << mutant.id << ": " << mutant.stage;
    EXPECT_TRUE(ids.insert(mutant.id).second) << mutant.id;
    EXPECT_TRUE(mutant.in_twin || mutant.in_kernels) << mutant.id;
    EXPECT_FALSE(mutant.breaks.empty()) << mutant.id;
  }
}

TEST(KillMatrix, AFaultThatChangesNothingOrSurvivesIsRed) {
  MutantResult killed{"a", "", "", "", "host", {{"generated", "row", 1, 1, "line"}}, true, 0, {}};
  MutantResult unchanged{"b", "", "", "", "host", {}, false, 10, {}},
      survivor{"c", "", "", "", "host", {}, true, 10, {}};
  EXPECT_TRUE(describe_mutants({killed}).green);
  EXPECT_FALSE(describe_mutants({}).green);
  EXPECT_FALSE(describe_mutants({killed, survivor}).green);
  const harness::Section section = describe_mutants({killed, unchanged});
  EXPECT_FALSE(section.green);
  EXPECT_THAT(section.text, HasSubstr("1 of 2"));
  EXPECT_THAT(section.text, HasSubstr("1 change no output"));
}

TEST(KillMatrix, UnknownNamesAreBadInput) {
  EXPECT_THROW(run_mutants("host", {1, false, false, {"no such"}, {}}), harness::InputError);
  EXPECT_THROW(run_mutants("nowhere", {}), harness::InputError);
  EXPECT_THROW(ActiveMutant("no such"), harness::InputError);
  EXPECT_THROW(ActiveMutant(Quantity::twin_bits, 1), harness::InputError);
}

TEST(ActiveMutant, EndsWithItsScope) {
  const auto subject = harness::make_subject("host");
  const harness::Problem problem = harness::parse_problem("shape=64x64 steps=2 seed=1");
  const harness::CaseResult before = run_case(problem, *subject);
  {
    const ActiveMutant active("sum_for_mean");
    const harness::CaseResult with = run_case(problem, *subject);
    EXPECT_EQ(with.verdict, harness::Verdict::fail);
    EXPECT_EQ(with.first_broken, Quantity::row);
    EXPECT_FALSE(default_tolerances_notice(*subject).empty());
  }
  const harness::CaseResult after = run_case(problem, *subject);
  EXPECT_EQ(after.verdict, harness::Verdict::pass);
  EXPECT_EQ(after.bits, before.bits);
  EXPECT_EQ(default_tolerances_notice(*subject), "");
}

TEST(ActiveMutant, PerturbsTheStageThatItNames) {
  const auto subject = harness::make_subject("host");
  const harness::Problem problem = harness::parse_problem(
      "shape=64x64 steps=2 seed=1 beta1=0.9 momentum_of=update beta3=0.9 limiter_margin=0.01 weight_decay=0.1");
  for (const Quantity stage :
       {Quantity::parameter_rms, Quantity::row, Quantity::col, Quantity::momentum, Quantity::clip,
        Quantity::confidence_row, Quantity::confidence_col, Quantity::update_norm, Quantity::limiter, Quantity::bias,
        Quantity::step_size, Quantity::keep, Quantity::parameter}) {
    const ActiveMutant active(stage, 1000);
    EXPECT_EQ(run_case(problem, *subject).first_broken, stage) << to_string(stage);
  }
}

TEST(Thresholds, AreRedWhereALimitIsMissed) {
  const Threshold met{Quantity::row, "row", "8x8", 16, 1, 16}, missed{Quantity::row, "row", "8x8", 16, 17, 16},
      never{Quantity::row, "row", "8x8", 1, 0, 16}, unlimited{Quantity::clip, "clip", "8x8", 900, 0, 0};
  EXPECT_TRUE(describe_thresholds({met, unlimited}).green);
  EXPECT_FALSE(describe_thresholds({met, missed}).green);
  EXPECT_FALSE(describe_thresholds({never}).green);
}

}  // namespace
}  // namespace plumbline::properties
