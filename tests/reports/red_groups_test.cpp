#include "reports/red_groups.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/glossary.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using harness::CaseResult;
using harness::Quantity;
using harness::Verdict;

CaseResult of(Verdict verdict, const std::string& line, std::optional<Quantity> broken = {}) {
  CaseResult c = samples::with_verdict(verdict, line);
  c.first_broken = broken;
  c.elements = int64_t(line.size());
  c.steps = 1;
  return c;
}

// Odd matrices in one storage break at the row average, whatever the rest of their options.
TEST(RedGroups, SayWhatTheCasesOfAStageShareThatTheGreenOnesDoNot) {
  std::vector<CaseResult> results;
  for (int i = 0; i < 40; ++i) {
    const char* param = i % 2 == 0 ? "param=f16" : "param=bf16";
    results.push_back(
        of(Verdict::fail, fmt::format("shape={}x65 {} storage=al16 lr=0.1 seed={}", 9 + i, param, i), Quantity::row));
    results.push_back(of(Verdict::pass, fmt::format("shape={}x64 {} storage=al16 lr=0.1 seed={}", 9 + i, param, i)));
    for (int j = 0; j < 4; ++j)
      results.push_back(of(Verdict::pass, fmt::format("shape={}x65 {} storage=al8 lr=0.1 seed={}", 9 + i, param, i)));
  }
  results.push_back(of(Verdict::vacuous, "shape=4x4 lr=0.1 seed=1"));
  const auto groups = group_red(samples::summarize(results));
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].what, "fail at row");
  EXPECT_EQ(groups[0].cases, 40u);
  ASSERT_FALSE(groups[0].shared.empty());
  EXPECT_EQ(groups[0].shared[0].trait, "storage=al16");
  EXPECT_DOUBLE_EQ(groups[0].shared[0].red, 1);
  EXPECT_DOUBLE_EQ(groups[0].shared[0].green, 0.2);
  for (const SharedTrait& t : groups[0].shared) {
    EXPECT_NE(t.trait, "lr=0.1") << "everybody has it";
    EXPECT_NE(t.trait, "odd columns") << "most green ones have it";
    EXPECT_FALSE(t.trait.starts_with("seed=")) << t.trait;
  }
  EXPECT_EQ(describe_shared(groups[0], 1), "storage=al16 (100 % of them, 20 % of the green)");
  EXPECT_EQ(groups[1].what, "vacuous");
  EXPECT_TRUE(group_red(samples::summarize({samples::passing(1)})).empty());
}

TEST(RedGroups, NameTheSmallestCaseAndReadShapes) {
  std::vector<CaseResult> results;
  for (int i = 0; i < 20; ++i) {
    results.push_back(of(Verdict::fail, fmt::format("shape={}x1 seed={}", 3 + i, i), Quantity::parameter));
    results.push_back(of(Verdict::pass, fmt::format("shape={}x8x8 seed={}", 3 + i, i)));
  }
  const auto groups = group_red(samples::summarize(results));
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].shortest, "shape=3x1 seed=0");
  std::vector<std::string> traits;
  for (const SharedTrait& t : groups[0].shared) traits.push_back(t.trait);
  EXPECT_THAT(traits, testing::IsSupersetOf({"2 axes", "odd columns", "an extent of 1"}));
}

TEST(Glossary, SaysWhatEveryQuantityMeans) {
  for (int q = 0; q < harness::kQuantities; ++q) {
    const std::string_view text = meaning(static_cast<Quantity>(q));
    EXPECT_GT(text.size(), 20u) << to_string(static_cast<Quantity>(q));
    EXPECT_TRUE(text.ends_with('.')) << text;
  }
  EXPECT_TRUE(is_one_rounding(Quantity::row_code));
  EXPECT_TRUE(is_one_rounding(Quantity::momentum_stored));
  EXPECT_FALSE(is_one_rounding(Quantity::parameter));
  EXPECT_EQ(glossary_id(Quantity::low_rank_row), "meaning-low-rank-row");
}

}  // namespace
}  // namespace plumbline::reports
