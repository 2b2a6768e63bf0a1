#include "properties/kill_matrix.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <utility>

#include "harness/case.h"
#include "harness/error.h"
#include "harness/linear/mutants.h"
#include "harness/mutants.h"
#include "harness/problem.h"
#include "properties/default_tolerances.h"
#include "properties/property.h"
#include "properties/thresholds.h"

namespace plumbline::properties {
namespace {

using harness::ActiveMutant;
using harness::Quantity;
using testing::HasSubstr;

// `plumbline mutants` runs the whole table, in minutes; these are the ones that fall in seconds.
void expect_killed(const std::string& subject, std::vector<std::string> ids) {
  MatrixOptions options;  // seed 1, as in the published matrix
  options.ids = std::move(ids);
  const auto results = run_mutants(subject, options);
  EXPECT_EQ(results.size(), options.ids.size());
  for (const MutantResult& r : results)
    EXPECT_TRUE(r.killed()) << r.id << " (" << r.breaks << ") survives on " << subject;
  EXPECT_TRUE(describe_mutants(results).green);
}

TEST(KillMatrix, TheQuickSuiteNoticesFaultsOfEveryKind) {
  expect_killed(
      "host",
      {"eps1_outside_mean", "weights_swapped",    "lost_strip",         "norm_without_mean",     "clip_missing",
       "eps2_missing",      "neighbour_row",      "decay_after_update", "bfloat16_truncated",    "bias_ahead",
       "confidence_unused", "limiter_inverted",   "stale_scale",        "random_repeats",        "nibbles_swapped",
       "projection_biased", "infinity_is_finite", "w8a8/round_half_up", "w8a8/scale_per_tensor", "w8a8/code_minus_128",
       "w8a8/lost_tail"});
}

TEST(KillMatrix, TheEmulatorNoticesBarriersIndicesAndTailsThatKernelsLost) {
  expect_killed("emulator", {"sweep_barrier_lost", "finish_barrier_lost", "tile_index_wraps", "last_vector_lost",
                             "last_batch_lost", "last_rows_left", "half_warp_lost", "arrivals_kept", "count_kept"});
}

// Nothing out of its bound: a property sees it, and no comparison with the reference does.
TEST(KillMatrix, APropertyNoticesWhatStaysWithinEveryBound) {
  const auto host = harness::make_subject("host");
  const std::pair<const char*, const char*> expected[] = {{"negative_in_other_order", "sign_symmetry"},
                                                          {"large_in_other_order", "scaling"},
                                                          {"zeroed_in_other_order", "nonfinite_zero"},
                                                          {"odd_rows_backwards", "row_permutation"},
                                                          {"later_slices_backwards", "batch_slices"},
                                                          {"path_by_neighbour", "block_independence"},
                                                          {"root_an_ulp_off", "dyadic"},
                                                          {"decay_subtracted", "decay_alone"},
                                                          {"carried_in_plain_order", "carried_norm"},
                                                          {"squares_scaled", "eps1"}};
  for (const auto& [mutant, name] : expected) {
    const Property& property = find_property(name);
    const ActiveMutant active(mutant);
    EXPECT_EQ(check_property(property, *host, 1, property.quick_cases, false).outcome, PropertyResult::Outcome::failed)
        << name << " does not notice " << mutant;
  }
}

TEST(KillMatrix, TheTableNamesKnownStagesAndEachFaultOnce) {
  EXPECT_GE(harness::optimizer_mutants().size(), 60u);
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

TEST(KillMatrix, SeesWhetherAFaultChangesAnyBit) {
  const auto host = harness::make_subject("host");
  const std::vector<harness::AnyProblem> problems = {
      harness::parse_problem("shape=64x64 steps=2 seed=1"),
      harness::parse_any_problem("w8a8 tokens=33 inputs=64 outputs=48 seed=1")};
  const auto fault = [](const char* id) { return [id] { return std::make_unique<ActiveMutant>(id); }; };
  EXPECT_TRUE(changes_bits(problems, *host, *host, fault("sum_for_mean")));
  EXPECT_FALSE(changes_bits(problems, *host, *host, fault("limiter_inverted"))) << "no problem has a limiter";
  const auto linear = harness::linear_mutants("host");
  const auto mutant =
      std::find_if(linear.begin(), linear.end(), [](const auto& m) { return m.name == "scale_per_tensor"; });
  ASSERT_NE(mutant, linear.end());
  EXPECT_TRUE(changes_bits(problems, *host, *mutant->subject, [] { return nullptr; }));
  EXPECT_FALSE(changes_bits(problems, *host, *host, [] { return nullptr; }));
}

TEST(KillMatrix, TellsWhatACheckNoticesAlone) {
  const auto result = [](const char* id, const std::vector<const char*>& checks) {
    MutantResult r{id, "", "", "", "host", {}, true, 0, {}, true};
    for (const char* check : checks) r.kills.push_back({check, "", 1, 1, "line"});
    return r;
  };
  const auto section = describe_mutants(
      {result("a", {"clip"}), result("b", {"generated", "scaling"}), result("c", {"generated", "dyadic", "scaling"})});
  const auto table = std::find_if(section.tables.begin(), section.tables.end(),
                                  [](const harness::Table& t) { return t.caption == "What each check notices"; });
  ASSERT_NE(table, section.tables.end());
  const auto row = [&](const std::string& check) {
    return *std::find_if(table->rows.begin(), table->rows.end(),
                         [&](const auto& cells) { return std::get<std::string>(cells[0]) == check; });
  };
  using Row = std::vector<harness::Cell>;
  EXPECT_EQ(row("clip"), (Row{"clip", int64_t(1), int64_t(1), "a", ""}));
  EXPECT_EQ(row("scaling"), (Row{"scaling", int64_t(2), int64_t(0), "", "b"}));
  EXPECT_EQ(row("generated"), (Row{"generated", int64_t(2), int64_t(2), "", "reads the reference"}));
  EXPECT_EQ(row("limiter"), (Row{"limiter", int64_t(0), int64_t(0), "", ""}));
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
