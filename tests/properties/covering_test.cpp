#include "properties/covering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/case.h"
#include "harness/error.h"
#include "harness/runner.h"
#include "harness/subject.h"
#include "properties/census.h"
#include "properties/designed.h"
#include "properties/generated.h"

namespace plumbline::properties {
namespace {

using harness::Problem;
using harness::Verdict;
using Kind = Exclusion::Kind;

constexpr uint64_t kSeeds[] = {1, 2, 3, 4, 5};

bool is_excluded(const Classes& classes, std::initializer_list<Kind> kinds) {
  return std::any_of(exclusions().begin(), exclusions().end(), [&](const Exclusion& e) {
    return std::find(kinds.begin(), kinds.end(), e.kind) != kinds.end() &&
           holds(parse_literals(e.combination), classes);
  });
}

// --- the design ---

TEST(CoveringDesign, MeetsEveryValidPairInAFractionOfAQuickSuite) {
  const Tuples valid(2);
  EXPECT_GT(valid.valid(), 2000);
  for (const uint64_t seed : kSeeds) {
    Tuples pairs = valid;
    const auto rows = covering_design(2, seed);
    for (const Classes& row : rows) pairs.cover(row);
    EXPECT_EQ(pairs.covered(), pairs.valid()) << seed;
    EXPECT_THAT(pairs.missing(10), testing::IsEmpty());
    EXPECT_LT(rows.size(), 300u);  // which is all that an emulator's quick suite has
  }
}

TEST(CoveringDesign, MeetsEveryValidTripleWithinAFullSuite) {
  Tuples triples(3);
  EXPECT_GT(triples.valid(), 40'000);
  const auto rows = covering_design(3, kSeeds[0]);
  for (const Classes& row : rows) triples.cover(row);
  EXPECT_EQ(triples.covered(), triples.valid());
  EXPECT_LT(rows.size(), 2000u);
}

TEST(CoveringDesign, DependsOnItsSeedAndKeepsToTheExclusions) {
  const auto rows = covering_design(2, 7);
  EXPECT_EQ(rows, covering_design(2, 7));
  EXPECT_NE(rows, covering_design(2, 8));
  for (const Classes& row : rows)
    EXPECT_FALSE(is_excluded(row, {Kind::meaning, Kind::refused, Kind::idle, Kind::unsure})) << to_string(row);
}

TEST(CoveringDesign, CountsWhatIsMissing) {
  Tuples pairs(2);
  const auto rows = covering_design(2, 1);
  EXPECT_EQ(pairs.covered(), 0);
  const int64_t first = pairs.cover(rows[0]);
  EXPECT_GT(first, 100);
  EXPECT_EQ(pairs.cover(rows[0]), 0);
  EXPECT_EQ(pairs.covered(), first);
  EXPECT_EQ(int64_t(pairs.missing(1'000'000).size()), pairs.valid() - first);
  std::array<bool, kFactors> one{};
  one[0] = true;
  EXPECT_EQ(pairs.cover(rows[1], one), 0) << "a pair needs two values";
}

// --- what is valid ---

TEST(Completion, IsFoundForEveryPairThatOccursAndNeverBreaksAnExclusion) {
  Classes open;
  open.fill(kOpen);
  for (int f = 0; f < kFactors; ++f)
    for (int v = 0; v < values_of(f); ++v) {
      Classes chosen = open;
      chosen[size_t(f)] = int8_t(v);
      const auto row = complete(chosen);
      ASSERT_TRUE(row) << value_name(f, v);
      EXPECT_EQ((*row)[size_t(f)], v);
      EXPECT_FALSE(is_excluded(*row, {Kind::meaning, Kind::refused, Kind::idle})) << to_string(*row);
    }
}

// Problems drawn without any regard for the design are no counterexamples to it.
TEST(Exclusions, HoldForNoProblemThatIsJudged) {
  const auto host = harness::make_subject("host");
  for (const uint64_t seed : kSeeds)
    for (const Problem& p : generate_problems(seed, 1500, 2048)) {
      const auto classes = classify(p);
      ASSERT_TRUE(classes);
      EXPECT_FALSE(is_excluded(*classes, {Kind::meaning, Kind::refused})) << to_string(p);
      if (!is_excluded(*classes, {Kind::idle})) continue;
      EXPECT_EQ(run_case(p, *host).verdict, Verdict::vacuous) << to_string(p) << "\n" << to_string(*classes);
    }
}

Classes violating(const Exclusion& exclusion, Draw& d) {
  Classes chosen;
  chosen.fill(kOpen);
  for (const auto& [factor, values] : parse_literals(exclusion.combination).of) {
    int v = d.below(values_of(factor));
    while (!(values >> v & 1)) v = d.below(values_of(factor));
    chosen[size_t(factor)] = int8_t(v);
  }
  return chosen;
}

ExclusionSet only(const Exclusion& e) { return ExclusionSet{1} << (&e - exclusions().data()); }

TEST(Exclusions, OfWhatIsRefusedAreRefused) {
  Draw d(11, 0);
  for (const Exclusion& e : exclusions()) {
    if (e.kind != Kind::refused) continue;
    for (int i = 0; i < 20; ++i) {
      const auto classes = complete(violating(e, d), only(e));
      if (!classes) continue;
      EXPECT_THROW(validate(problem_of(*classes, d, 1 << 14)), harness::InputError) << e.combination;
    }
  }
}

TEST(Exclusions, OfWhatIsIdleGiveVacuousCasesAndOfWhatIsUnsureSome) {
  const auto host = harness::make_subject("host");
  for (const Exclusion& e : exclusions()) {
    if (e.kind != Kind::idle && e.kind != Kind::unsure) continue;
    Draw d(12, int(&e - exclusions().data()));
    constexpr int kCases = 40;
    int vacuous = 0;
    for (int cases = 0; cases < kCases; ++cases) {
      auto classes = complete(violating(e, d), only(e));
      while (!classes) classes = complete(violating(e, d), only(e));
      const harness::CaseResult result = run_case(problem_of(*classes, d, 1 << 13), *host);
      EXPECT_NE(result.verdict, Verdict::fail) << result.line << "\n" << result.reason;
      vacuous += result.verdict == Verdict::vacuous;
    }
    EXPECT_GE(vacuous, e.kind == Kind::idle ? kCases / 2 : 1) << e.combination;
  }
}

// --- problems of given classes ---

TEST(DesignedProblems, AreOfTheirClassesValidAndWithinTheSizeAskedFor) {
  for (const int64_t largest : {512, 4096, 1 << 16}) {
    const auto rows = covering_design(2, 3);
    const auto problems = designed_problems(2, 3, largest);
    ASSERT_EQ(problems.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_NO_THROW(validate(problems[i])) << to_string(problems[i]);
      EXPECT_EQ(classify(problems[i]), rows[i]) << to_string(problems[i]) << "\n" << to_string(rows[i]);
      EXPECT_LE(problems[i].elements(), largest);
    }
    EXPECT_EQ(problems, designed_problems(2, 3, largest));
  }
}

TEST(DesignedProblems, PassOnTheHostAndNoneIsVacuous) {
  const auto host = harness::make_subject("host");
  int cases = 0, redraws = 0;
  for (const uint64_t seed : kSeeds)
    for (const harness::PlannedCase& c : designed_cases(2, seed, 1 << 14)) {
      const harness::CaseResult result = run_planned(c, *host, {});
      EXPECT_EQ(result.verdict, Verdict::pass)
          << to_string(result.verdict) << ": " << result.reason << "\nplumbline case '" << result.line << "'";
      ++cases;
      redraws += result.redraws;
    }
  EXPECT_LE(redraws, cases / 50) << "of " << cases;
}

TEST(DesignedProblems, AreDrawnAgainWithinTheirClasses) {
  for (const harness::PlannedCase& c : designed_cases(2, 3, 4096)) {
    const auto again = std::get<Problem>(c.redraw(1));
    EXPECT_EQ(classify(again), classify(c.optimizer()));
    EXPECT_NE(again, c.optimizer());
    EXPECT_EQ(again, std::get<Problem>(c.redraw(1)));
  }
}

// --- the census ---

harness::CaseResult passed(const Problem& p) {
  harness::CaseResult result;
  result.line = to_string(p);
  result.verdict = Verdict::pass;
  return result;
}

TEST(Coverage, OfAWholeDesignIsGreenAndWithoutSomeOfItsCasesRedByName) {
  const auto problems = designed_problems(2, 1, 4096);
  const auto all = make_coverage(2), some = make_coverage(2);
  for (const Problem& p : problems) {
    all->on_case(passed(p));
    if (!p.options.maximize || p.storage != harness::Storage::al16) some->on_case(passed(p));
  }
  const harness::Section green = all->describe(true), red = some->describe(true);
  EXPECT_TRUE(green.green) << green.title;
  EXPECT_THAT(green.title, testing::HasSubstr("all"));
  EXPECT_FALSE(red.green);
  EXPECT_THAT(red.title, testing::HasSubstr("missing"));
  ASSERT_EQ(red.tables[1].caption, "Missing");
  std::set<std::string> missing;
  for (const auto& row : red.tables[1].rows) missing.insert(std::get<std::string>(row[0]));
  EXPECT_THAT(missing, testing::Contains("storage=al16 maximize=true"));
  EXPECT_TRUE(some->describe(false).green) << "a part of a suite misses nothing";
}

TEST(Coverage, CountsNeitherVacuousNorSkippedCasesNorRecordedOnes) {
  const auto coverage = make_coverage(2);
  for (const Problem& p : designed_problems(2, 1, 4096))
    for (const Verdict verdict : {Verdict::vacuous, Verdict::skipped, Verdict::error}) {
      harness::CaseResult result = passed(p);
      result.verdict = verdict;
      coverage->on_case(result);
    }
  harness::CaseResult trace = passed(Problem{});
  trace.line = "shape=64 trace=a tensor=b steps=1 seed=1";
  coverage->on_case(trace);
  trace.line = "w8a8 m=1";
  coverage->on_case(trace);
  const harness::Section section = coverage->describe(true);
  EXPECT_FALSE(section.green);
  EXPECT_EQ(std::get<int64_t>(section.tables[0].rows[0][2]), 0);
}

void expect_equal(const harness::Section& a, const harness::Section& b) {
  EXPECT_EQ(a.title, b.title);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.green, b.green);
  ASSERT_EQ(a.tables.size(), b.tables.size());
  for (size_t i = 0; i < a.tables.size(); ++i) EXPECT_EQ(a.tables[i].rows, b.tables[i].rows) << a.tables[i].caption;
}

TEST(Coverage, OfShardsTogetherIsThatOfTheWholeSuite) {
  for (const int strength : {2, 3}) {
    const auto all = make_coverage(strength);
    std::vector<std::unique_ptr<harness::Census>> shards;
    for (int i = 0; i < 3; ++i) shards.push_back(make_coverage(strength));
    const auto problems = designed_problems(2, 1, 4096);
    for (size_t i = 0; i < problems.size(); ++i) {
      harness::CaseResult result = passed(problems[i]);
      if (i % 2 == 0) result.options.push_back({"clip=on", false});
      if (i % 7 == 0) result.verdict = Verdict::skipped;
      all->on_case(result);
      shards[i % 3]->on_case(result);
    }
    std::vector<std::string> parts;
    for (const auto& shard : shards) parts.push_back(shard->part(true));
    expect_equal(join_coverage(parts), all->describe(true));
    parts[1] = shards[1]->part(false);  // whose budget was spent
    expect_equal(join_coverage(parts), all->describe(false));
    parts.pop_back();
    const harness::Section two_of_three = join_coverage(parts);
    EXPECT_GT(std::get<int64_t>(two_of_three.tables[0].rows.back()[4]), 0) << "none is missing";
  }
}

TEST(Coverage, RefusesWhatIsNoPartOfOne) {
  const std::string part = make_coverage(2)->part(true);
  for (const std::string& bad : {std::string(), part.substr(0, part.size() - 1), part.substr(0, part.size() / 2),
                                 "3" + part.substr(1), part.substr(0, part.size() - 1) + "g"})
    EXPECT_THROW(join_coverage(std::vector{bad}), harness::InputError) << bad;
  EXPECT_THROW(join_coverage(std::vector{part, make_coverage(3)->part(true)}), harness::InputError);
}

TEST(Coverage, TellsApartWhatWasMetFromWhatActed) {
  const auto coverage = make_coverage(2);
  harness::CaseResult result = passed(designed_problems(2, 1, 4096)[0]);
  result.options.push_back({"param=f32", false});
  result.options.push_back({"param=bf16", false});
  result.options.push_back({"param=f16", false});
  coverage->on_case(result);
  const harness::Section section = coverage->describe(true);
  const auto& row = section.tables[0].rows[0];
  EXPECT_GT(std::get<int64_t>(row[2]), std::get<int64_t>(row[3]));
  EXPECT_GT(std::get<int64_t>(row[3]), 0);
}

}  // namespace
}  // namespace plumbline::properties
