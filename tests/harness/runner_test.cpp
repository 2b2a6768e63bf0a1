#include "harness/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "harness/error.h"
#include "properties/generated.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

// Writes down what it is told.
class Recorder final : public Listener {
 public:
  void begin(const RunDescription& run, uint64_t planned_cases) override {
    ++begun;
    planned = planned_cases;
    subject = run.subject;
  }
  void on_case(const CaseResult& result) override { results.push_back(result); }
  void end(const RunSummary& s) override {
    ++ended;
    summary = s;
  }
  int begun = 0, ended = 0;
  uint64_t planned = 0;
  std::string subject;
  std::vector<CaseResult> results;
  RunSummary summary;
};

std::vector<PlannedCase> plan(int count) {
  std::vector<PlannedCase> cases;
  for (Problem& p : properties::generate_problems(2, count, 2048)) cases.push_back({std::move(p), "generated", false});
  return cases;
}

RunSummary run(const std::vector<PlannedCase>& cases, Recorder& recorder, double budget = 0, int threads = 0) {
  Listener* const listeners[] = {&recorder};
  RunOptions options;
  options.budget = budget;
  options.threads = threads;
  return run_cases(cases, *make_subject("host"), RunDescription{}, listeners, options);
}

TEST(Runner, DeliversResultsInPlannedOrderOnAnyNumberOfThreads) {
  std::vector<PlannedCase> cases = plan(120);
  cases[0].optimizer().steps = 200;  // the first is the last to finish
  for (const int threads : {1, 2, 0}) {
    Recorder recorder;
    const RunSummary summary = run(cases, recorder, 0, threads);
    ASSERT_EQ(recorder.results.size(), cases.size());
    for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(recorder.results[i].line, to_string(cases[i].problem));
    EXPECT_EQ(recorder.begun, 1);
    EXPECT_EQ(recorder.ended, 1);
    EXPECT_EQ(recorder.planned, 120u);
    EXPECT_EQ(summary.cases(), 120u);
    EXPECT_EQ(recorder.summary.verdicts, summary.verdicts);
    EXPECT_EQ(recorder.results[7].suite, "generated");
    EXPECT_EQ(recorder.results[7].subject, "host");
  }
}

TEST(Runner, EveryListenerHearsEverything) {
  Recorder a, b;
  Listener* const listeners[] = {&a, &b};
  run_cases(plan(5), *make_subject("host"), RunDescription{}, listeners);
  EXPECT_EQ(a.results.size(), 5u);
  EXPECT_EQ(b.results.size(), 5u);
}

TEST(Runner, SkipsWhatTheBudgetDoesNotReach) {
  Recorder recorder;
  const RunSummary summary = run(plan(20), recorder, 1e-12);
  EXPECT_EQ(summary.verdicts[size_t(Verdict::skipped)], 20u);
  EXPECT_FALSE(summary.green());
  ASSERT_EQ(recorder.results.size(), 20u);
  EXPECT_THAT(recorder.results[3].reason, HasSubstr("budget"));
  EXPECT_EQ(recorder.results[3].line, to_string(plan(20)[3].problem));
}

TEST(Runner, WithoutALimitSkipsNothing) {
  Recorder recorder;
  EXPECT_EQ(run(plan(20), recorder).verdicts[size_t(Verdict::skipped)], 0u);
}

TEST(Runner, AGeneratorWhoseDrawsOftenCannotFailIsRed) {
  const Problem never = parse_problem("shape=32x32 clip=1000 focus=clip steps=2 seed=1"),
                once = parse_problem("shape=8x8 steps=2 seed=1");
  const std::vector<PlannedCase> cases(6, {never, "x", false, [&](int) { return once; }});
  Recorder recorder;
  const RunSummary summary = run(cases, recorder);
  EXPECT_EQ(summary.verdicts[size_t(Verdict::pass)], 6u);
  EXPECT_EQ(summary.redrawn, 6u);
  ASSERT_EQ(summary.errors.size(), 1u);
  EXPECT_THAT(summary.errors[0], HasSubstr("6 cases of 6 could not have failed"));
}

TEST(Runner, BadInputShowsBeforeAnyListenerBegins) {
  std::vector<PlannedCase> cases = plan(3);
  cases[2].optimizer().shape = {0};
  Recorder recorder;
  EXPECT_THROW(run(cases, recorder), InputError);
  EXPECT_EQ(recorder.begun, 0);
  EXPECT_TRUE(recorder.results.empty());
}

TEST(Runner, AnUnreadableTraceEndsTheRunWithoutAReport) {
  std::vector<PlannedCase> cases = plan(6);
  cases[1].optimizer().data.trace = "/nonexistent/run.safetensors";
  cases[1].optimizer().data.tensor = "w";
  Recorder recorder;
  EXPECT_THROW(run(cases, recorder), InputError);
  EXPECT_EQ(recorder.ended, 0);
}

TEST(Runner, AListenerThatCannotBeginEndsTheRunBeforeTheFirstCase) {
  class Refuses final : public Listener {
   public:
    void begin(const RunDescription&, uint64_t) override { throw InputError("no such folder"); }
    void on_case(const CaseResult&) override { ++cases; }
    void end(const RunSummary&) override { ++cases; }
    int cases = 0;
  } refuses;
  Listener* const listeners[] = {&refuses};
  EXPECT_THROW(run_cases(plan(3), *make_subject("host"), RunDescription{}, listeners), InputError);
  EXPECT_EQ(refuses.cases, 0);
}

// --- shards ---

TEST(Shards, PartitionThePlan) {
  const std::vector<PlannedCase> all = plan(50);
  for (const int count : {1, 2, 3, 7, 50, 64}) {
    std::multiset<std::string> seen;
    for (int index = 0; index < count; ++index) {
      const auto mine = select_shard(all, {index, count});
      EXPECT_LE(mine.size(), size_t((50 + count - 1) / count));
      for (const PlannedCase& c : mine.all()) seen.insert(to_string(c.problem));
    }
    std::multiset<std::string> expected;
    for (const PlannedCase& c : all) expected.insert(to_string(c.problem));
    EXPECT_EQ(seen, expected) << count;
  }
}

TEST(Shards, AreReadFromTheirText) {
  EXPECT_EQ(parse_shard("2/8").index, 2);
  EXPECT_EQ(parse_shard("2/8").count, 8);
  for (const char* bad :
       {"", "/", "2", "8/8", "-1/8", "0/0", "1/-2", "a/b", "1/2/3", "1 /2", "1.0/2", "1/", "/2", "99999999999/8"}) {
    try {
      parse_shard(bad);
      ADD_FAILURE() << "accepted: " << bad;
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), HasSubstr("shard")) << bad;
    }
  }
}

class ShardEnvironment : public testing::Test {
 protected:
  // Whatever the test program itself was started with must not be read.
  void SetUp() override {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      saved_.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : saved_)
      if (value)
        setenv(name, value->c_str(), 1);
      else
        unsetenv(name);
  }
  static void expect(int index, int count) {
    const Shard shard = shard_from_environment();
    EXPECT_EQ(shard.index, index);
    EXPECT_EQ(shard.count, count);
  }
  static constexpr const char* kNames[] = {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX", "SLURM_ARRAY_TASK_COUNT",
                                           "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN"};
  std::vector<std::pair<const char*, std::optional<std::string>>> saved_;
};

TEST_F(ShardEnvironment, WithoutVariablesIsTheWhole) {
  expect(0, 1);
  setenv("GTEST_TOTAL_SHARDS", "4", 1);  // one without the other
  expect(0, 1);
  setenv("GTEST_SHARD_INDEX", "", 1);
  expect(0, 1);
}

TEST_F(ShardEnvironment, ReadsGoogleTestsVariables) {
  setenv("GTEST_TOTAL_SHARDS", "4", 1);
  setenv("GTEST_SHARD_INDEX", "3", 1);
  expect(3, 4);
}

TEST_F(ShardEnvironment, ReadsSlurmsArrayFromItsFirstIndex) {
  setenv("SLURM_ARRAY_TASK_COUNT", "5", 1);
  setenv("SLURM_ARRAY_TASK_ID", "4", 1);
  expect(4, 5);
  setenv("SLURM_ARRAY_TASK_MIN", "2", 1);
  expect(2, 5);
}

TEST_F(ShardEnvironment, BadVariablesAreRefusedByName) {
  setenv("GTEST_TOTAL_SHARDS", "4", 1);
  for (const char* bad : {"4", "-1", "x", "1.5"}) {
    setenv("GTEST_SHARD_INDEX", bad, 1);
    try {
      shard_from_environment();
      ADD_FAILURE() << "accepted: " << bad;
    } catch (const InputError& e) {
      EXPECT_THAT(e.what(), HasSubstr("GTEST_SHARD_INDEX")) << bad;
    }
  }
}

TEST(RunPlanned, AVacuousCaseIsDrawnAgainSoManyTimesAtMost) {
  const auto subject = make_subject("host");
  const Problem idle = parse_problem("shape=8x8 clip=1000 focus=clip steps=2 seed=1"),
                good = parse_problem("shape=8x8 clip=0.25 focus=clip steps=2 seed=1");
  PlannedCase planned{idle, "generated"};
  EXPECT_EQ(run_planned(planned, *subject, {}).verdict, Verdict::vacuous);
  planned.redraw = [&](int attempt) { return attempt == 2 ? good : idle; };
  const CaseResult again = run_planned(planned, *subject, {});
  EXPECT_EQ(again.verdict, Verdict::pass) << again.reason;
  EXPECT_EQ(again.redraws, 2);
  EXPECT_EQ(again.line, to_string(good));
  planned.redraw = [&](int) { return idle; };
  const CaseResult never = run_planned(planned, *subject, {});
  EXPECT_EQ(never.verdict, Verdict::vacuous);
  EXPECT_EQ(never.redraws, kRedraws);
}

}  // namespace
}  // namespace plumbline::harness
