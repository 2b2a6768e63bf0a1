#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/case.h"
#include "harness/registry.h"
#include "harness/subject.h"

namespace plumbline::properties {
namespace {

using harness::PlannedCase;
using harness::SuiteSize;

std::vector<PlannedCase> plan(const std::string& source, const harness::SuiteRequest& request) {
  for (const harness::CaseSource& s : harness::case_sources())
    if (s.name == source) return s.plan(request).all();
  ADD_FAILURE() << "no source '" << source << "'";
  return {};
}

TEST(CaseSources, AreTheRecordedTrainingsAndTheGeneratedProblems) {
  std::vector<std::string> names;
  for (const auto& source : harness::case_sources()) names.push_back(source.name);
  EXPECT_EQ(names, (std::vector<std::string>{"generated", "lives", "traces", "w8a8_generated", "w8a8_recorded"}));
}

TEST(TraceCases, ReplayEveryTensorUnderEveryStorageAndSeveralOptionSets) {
  const auto cases = plan("traces", {SuiteSize::full, 1, "host"});
  std::set<std::string> traces;
  std::set<std::pair<std::string, std::string>> tensors;
  std::set<harness::Storage> storages;
  std::set<std::string> option_sets;
  for (const PlannedCase& c : cases) {
    EXPECT_NO_THROW(validate(c.problem));
    EXPECT_EQ(c.suite, "traces");
    EXPECT_TRUE(c.record_drift);
    EXPECT_GE(c.optimizer().steps, 24);
    traces.insert(c.optimizer().data.trace);
    tensors.insert({c.optimizer().data.trace, c.optimizer().data.tensor});
    storages.insert(c.optimizer().effective_storage());
    harness::Problem options = c.optimizer();
    options.shape = {1};
    options.data = {};
    options.storage = {};
    options.steps = 1;
    option_sets.insert(to_string(options));
  }
  EXPECT_EQ(traces, (std::set<std::string>{"digits_cnn", "gpt_bytes"}));
  EXPECT_EQ(storages.size(), size_t(harness::kAverageStorages));
  EXPECT_EQ(option_sets.size(), 9u);
  EXPECT_EQ(cases.size(), tensors.size() * (5 * storages.size() + 4 * 2));  // of the last four, al8 and al16 alone
}

TEST(TraceCases, TheQuickSuiteAndTheEmulatorReplayFewerSteps) {
  for (const PlannedCase& c : plan("traces", {SuiteSize::quick, 1, "host"})) EXPECT_LE(c.optimizer().steps, 24);
  for (const PlannedCase& c : plan("traces", {SuiteSize::full, 1, "emulator"})) EXPECT_LE(c.optimizer().steps, 3);
}

TEST(GeneratedCases, AreAtLeastTwoThousandInAFullRun) {
  EXPECT_GE(plan("generated", {SuiteSize::full, 1, "host"}).size(), 2000u);
  EXPECT_GE(plan("generated", {SuiteSize::full, 1, "emulator"}).size(), 2000u);
  const auto first_random = [](SuiteSize size) {
    const auto cases = plan("generated", {size, 1, "host"});
    return std::find_if(cases.begin(), cases.end(), [](const PlannedCase& c) { return c.suite == "generated"; })
        ->problem;
  };
  EXPECT_EQ(first_random(SuiteSize::quick), first_random(SuiteSize::full));
}

TEST(TraceCases, OneTensorOfEachTrainingPassesOnTheHost) {
  const auto host = harness::make_subject("host");
  const auto cases = plan("traces", {SuiteSize::quick, 1, "host"});
  std::set<std::string> done;
  for (const PlannedCase& c : cases) {
    if (c.optimizer().elements() > 20000 ||
        !done.insert(c.optimizer().data.trace + to_string(c.optimizer().storage)).second)
      continue;
    const harness::CaseResult result = run_case(c.problem, *host, {c.suite, c.record_drift});
    EXPECT_EQ(result.verdict, harness::Verdict::pass) << result.line << ": " << result.reason;
    EXPECT_FALSE(result.drift.empty());
  }
  EXPECT_EQ(done.size(), 10u);
}

}  // namespace
}  // namespace plumbline::properties
