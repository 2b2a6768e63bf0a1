#include "properties/generated.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "cuda/api/options.h"
#include "harness/case.h"
#include "harness/runner.h"
#include "harness/subject.h"
#include "properties/problems.h"
#include "properties/property.h"

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

// No shape has fewer than one element: an error of the suite, and no endless search.
TEST(GeneratedProblems, AreAnErrorWhereNoneMeetsAConstraint) {
  EXPECT_THROW(generate_problems(7, 1, 0), std::runtime_error);
  const Property unmeetable{"agreement", "", "", [](const harness::Subject&) { *problems({}, 0); }};
  const PropertyResult result = check_property(unmeetable, *harness::make_subject("host"), 1, 10);
  EXPECT_NE(result.outcome, PropertyResult::Outcome::held);
  EXPECT_FALSE(describe_properties({result}).green);
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

// The report's table of options has every option of the library, and each acted on the result of some case; of options
// with names for values, each value did.
TEST(EveryOptionOfTheLibrary, ActsInSomeCase) {
  // rows of the table that are named for what the option does
  const std::map<std::string, std::string> names = {{"factored", "moment=factored"},
                                                    {"eps2", "eps2=floor"},
                                                    {"eps1", "eps1=active"},
                                                    {"beta1", "momentum=gradient"},
                                                    {"beta3", "confidence=on"},
                                                    {"beta2", "beta2=fixed"},
                                                    {"limiter_margin", "limiter=on"},
                                                    {"projection_rank", "moment=projected"},
                                                    {"projection_scale", "projection_scale_first=true"},
                                                    {"weight_decay", "weight_decay=lr"},
                                                    {"clip", "clip=on"},
                                                    {"block", "block<2048"},
                                                    {"maximize", "maximize=true"},
                                                    {"momentum_block", "momentum_block=set"},
                                                    {"momentum_of", "momentum=update"},
                                                    {"beta2_decay", "beta2_decay=-0.8"},
                                                    {"min_quantized_size", "min_quantized_size=float32 state"}};
  std::set<std::string> wanted;
  for (const OptionRow& row : option_table()) {
    const std::string name(row.name);
    if (const auto known = names.find(name); known != names.end()) {
      wanted.insert(known->second);
      continue;
    }
    std::string values = row.valid.find('|') == row.valid.npos ? "" : std::string(row.valid);
    if (values.empty()) wanted.insert(name);
    for (std::istringstream in(values); std::getline(in, values, '|');) {
      // nearest is what the codes' own bounds judge; which decay the weight goes by is told in its own row
      if (values == "nearest") continue;
      wanted.insert((name == "weight_decay_by" ? "weight_decay" : name) + "=" + values);
    }
  }
  EXPECT_GT(wanted.size(), option_table().size());
  const auto host = harness::make_subject("host");
  for (const Problem& p : generate_problems(1, 1200, 1 << 13)) {
    const harness::CaseResult result = run_case(p, *host);
    for (const auto& use : result.options)
      if (use.acted) wanted.erase(use.value);
    if (wanted.empty()) break;
  }
  for (const std::string& value : wanted) ADD_FAILURE() << value << " acted in no case";
}

class GeneratedCases : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, GeneratedCases, testing::ValuesIn(kSeeds));

TEST_P(GeneratedCases, PassOnTheHostAndNoneIsVacuous) {
  const auto host = harness::make_subject("host");
  int redraws = 0;
  for (int i = 0; i < 300; ++i) {
    const harness::CaseResult result = run_planned(generated_case(GetParam(), i, 1 << 14), *host, {});
    redraws += result.redraws;
    if (result.verdict == Verdict::skipped && !result.reason.empty()) continue;
    EXPECT_EQ(result.verdict, Verdict::pass)
        << to_string(result.verdict) << ": " << result.reason << "\nplumbline case '" << result.line << "'";
  }
  EXPECT_LE(redraws, 6);
}

}  // namespace
}  // namespace plumbline::properties
