#include "properties/generated.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/case.h"
#include "harness/subject.h"

namespace plumbline::properties {
namespace {

using harness::Problem;
using harness::Verdict;

constexpr uint64_t kSeeds[] = {101, 102, 103, 104, 105};

TEST(GeneratedProblems, AreValidAndWithinTheSizeAskedFor) {
  for (const uint64_t seed : kSeeds)
    for (const int64_t largest : {64, 4096, 1 << 16})
      for (const Problem& p : generate_problems(seed, 500, largest)) {
        EXPECT_NO_THROW(validate(p)) << to_string(p);
        EXPECT_LE(p.elements(), largest) << to_string(p);
      }
}

TEST(GeneratedProblems, DependOnSeedAndIndexAlone) {
  const auto few = generate_problems(7, 40, 4096), many = generate_problems(7, 400, 4096);
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i], many[i]);
  EXPECT_EQ(many, generate_problems(7, 400, 4096));
  const auto other = generate_problems(8, 400, 4096);
  int same = 0;
  for (size_t i = 0; i < many.size(); ++i) same += many[i] == other[i];
  EXPECT_EQ(same, 0);
  // the upper half of a seed counts too
  EXPECT_NE(generate_problems(7, 40, 4096), generate_problems(7 + (uint64_t{1} << 32), 40, 4096));
}

TEST(GeneratedProblems, OccurInEveryRegimeFeatureStorageTypeAndRank) {
  std::set<harness::Regime> regimes;
  std::set<harness::Feature> features;
  std::set<harness::Storage> storages;
  std::set<std::pair<harness::DType, harness::DType>> types;
  std::set<size_t> ranks;
  std::set<int> blocks;
  std::set<reference::Nonfinite> policies;
  int carried = 0, tails = 0, one_row = 0, one_column = 0, vectors = 0, unfactored = 0;
  for (const Problem& p : generate_problems(kSeeds[0], 1200, 1 << 16)) {
    regimes.insert(p.data.regime);
    for (const harness::Feature f : p.focus) features.insert(f);
    storages.insert(p.effective_storage());
    types.insert({p.parameter, p.gradient});
    ranks.insert(p.shape.size());
    blocks.insert(p.block);
    policies.insert(p.options.nonfinite);
    carried += p.carried_norm;
    tails += p.elements() > p.block && p.elements() % p.block != 0;
    one_row += p.shape.size() == 2 && p.shape[0] == 1;
    one_column += p.shape.size() == 2 && p.shape[1] == 1;
    vectors += p.shape.size() == 1;
    unfactored += p.shape.size() > 1 && !p.options.factored;
  }
  EXPECT_EQ(regimes.size(), size_t(harness::kRegimes));
  EXPECT_EQ(features.size(), size_t(harness::kFeatures));
  EXPECT_EQ(storages.size(), size_t(harness::kAverageStorages));
  EXPECT_EQ(types.size(), 9u);
  EXPECT_EQ(ranks, (std::set<size_t>{1, 2, 3, 4}));
  EXPECT_EQ(blocks, (std::set<int>{64, 128, 256, 512, 1024, 2048}));
  EXPECT_EQ(policies.size(), 3u);
  for (const int count : {carried, tails, one_row, one_column, vectors, unfactored}) EXPECT_GT(count, 30);
}

class GeneratedCases : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, GeneratedCases, testing::ValuesIn(kSeeds));

TEST_P(GeneratedCases, PassOnTheHostAndNoneIsVacuous) {
  const auto host = harness::make_subject("host");
  for (const Problem& p : generate_problems(GetParam(), 300, 1 << 14)) {
    const harness::CaseResult result = run_case(p, *host);
    if (result.verdict == Verdict::skipped && !result.reason.empty()) continue;
    EXPECT_EQ(result.verdict, Verdict::pass)
        << to_string(result.verdict) << ": " << result.reason << "\nplumbline case '" << result.line << "'";
  }
}

}  // namespace
}  // namespace plumbline::properties
