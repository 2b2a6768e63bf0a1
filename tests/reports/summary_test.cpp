#include "reports/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using harness::CaseResult;
using harness::Quantity;
using harness::SizeClass;
using harness::Verdict;

CaseResult with_ratio(const std::string& line, int64_t elements, double ratio) {
  CaseResult result = samples::with_verdict(ratio <= 1 ? Verdict::pass : Verdict::fail, line);
  result.elements = elements;
  auto& q = result.quantities.emplace_back();
  q.quantity = Quantity::row;
  q.ratios.add(ratio);
  q.worst = {1, 2, 3, 4, 5, ratio};
  q.outside = ratio <= 1 ? 0 : 1;
  return result;
}

const QuantitySize& row(const Summary& s, SizeClass size) {
  return s.quantities[static_cast<size_t>(Quantity::row)][static_cast<size_t>(size)];
}

// A run that was cut short has not shown what a whole one shows.
TEST(Summary, OfATruncatedRunIsNotGreenUnlessAPartWasAskedFor) {
  CaseResult skipped = with_ratio("b", 1, 0.5);
  skipped.verdict = Verdict::skipped;
  Summary s = samples::summarize({with_ratio("a", 1, 0.5), skipped, skipped});
  EXPECT_TRUE(s.green());
  s.planned = 3;
  s.outcome.stopped = "the budget of 2 s was spent";
  s.outcome.not_begun = 2;
  EXPECT_FALSE(s.green());
  EXPECT_STREQ(s.state(), "truncated");
  EXPECT_EQ(s.headline(), "truncated: 1 of 3 cases judged, none red; 2 not begun: the budget of 2 s was spent");
  s.outcome.part_accepted = true;
  EXPECT_STREQ(s.state(), "green");
  EXPECT_THAT(s.headline(), testing::HasSubstr("truncated: 1 of 3"));
  s.add(samples::failing("shape=3x5"));
  ++s.outcome.verdicts[size_t(Verdict::fail)];
  EXPECT_STREQ(s.state(), "red");
}

TEST(Summary, MergesByQuantityAndSizeAndKeepsTheWorstLine) {
  const auto s = samples::summarize({with_ratio("a", 64, 0.5), with_ratio("b", 10, 0.75), with_ratio("c", 65, 3)});
  const auto& small = row(s, SizeClass::small);
  EXPECT_EQ(small.cases, 2u);
  EXPECT_EQ(small.ratios.total(), 2u);
  EXPECT_EQ(small.ratios.largest, 0.75);
  EXPECT_EQ(small.worst_line, "b");
  EXPECT_EQ(small.worst.ratio, 0.75);
  EXPECT_EQ(small.outside, 0u);
  EXPECT_EQ(row(s, SizeClass::medium).outside, 1u);
  EXPECT_EQ(row(s, SizeClass::medium).worst_line, "c");
  EXPECT_TRUE(row(s, SizeClass::large).empty());
}

TEST(Summary, ShowsNoQuantileAboveTheLargestRatio) {
  const auto s = samples::summarize({with_ratio("a", 64, 0.51)});
  EXPECT_EQ(row(s, SizeClass::small).quantile(0.99), 0.51);
}

std::vector<CaseResult> as_many(size_t count, const CaseResult& one) {
  std::vector<CaseResult> all(count, one);
  for (size_t i = 0; i < count; ++i) all[i].line += std::to_string(i);
  return all;
}

TEST(Summary, ALooseQuantityIsOneWhoseCasesAreManyAndAllFarFromTheBound) {
  const auto loose = [](int64_t elements, double ratio, size_t cases = harness::kLooseCases) {
    const auto s = samples::summarize(as_many(cases, with_ratio("a", elements, ratio)));
    const auto size = harness::size_class(elements);
    return is_loose(row(s, size), size);
  };
  EXPECT_TRUE(loose(64, 0.19));
  EXPECT_FALSE(loose(64, 0.19, harness::kLooseCases - 1)) << "so few say nothing";
  auto mixed = as_many(harness::kLooseCases, with_ratio("a", 64, 0.19));
  mixed.push_back(with_ratio("b", 64, 0.2));
  EXPECT_FALSE(is_loose(row(samples::summarize(mixed), SizeClass::small), SizeClass::small));
  EXPECT_FALSE(loose(64, 0.2));
  EXPECT_TRUE(loose(65, 0.049));
  EXPECT_FALSE(loose(65, 0.05));
  EXPECT_TRUE(loose(2000, 0.0099));
  EXPECT_FALSE(loose(2000, 0.01));
  EXPECT_FALSE(loose(2000, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_FALSE(is_loose(QuantitySize{}, SizeClass::small));
}

TEST(Summary, AComparisonThatAdmitsNothingButEqualityIsExactAndNotLoose) {
  CaseResult equal = with_ratio("a", 10, 0);
  EXPECT_TRUE(
      is_loose(row(samples::summarize(as_many(harness::kLooseCases, equal)), SizeClass::small), SizeClass::small));
  equal.quantities[0].worst.bound = 0;
  const auto s = samples::summarize(as_many(harness::kLooseCases, equal));
  EXPECT_TRUE(row(s, SizeClass::small).exact());
  EXPECT_FALSE(is_loose(row(s, SizeClass::small), SizeClass::small));
  const auto mixed = samples::summarize({equal, with_ratio("b", 10, 0)});
  EXPECT_FALSE(row(mixed, SizeClass::small).exact());
}

TEST(Summary, DoesNotDependOnTheOrderOfCases) {
  auto results = samples::mixed();
  const auto forward = samples::summarize(results);
  std::reverse(results.begin(), results.end());
  const auto backward = samples::summarize(results);
  const auto lines = [](const auto& list) {
    std::vector<std::string> out;
    for (const auto& c : list) {
      if constexpr (requires { c.entry; })
        out.push_back(c.entry.line);
      else
        out.push_back(c.line);
    }
    return out;
  };
  EXPECT_EQ(lines(forward.cases), lines(backward.cases));
  EXPECT_EQ(lines(forward.worst.kept()), lines(backward.worst.kept()));
  EXPECT_EQ(lines(forward.red.kept()), lines(backward.red.kept()));
  EXPECT_EQ(lines(forward.drift), lines(backward.drift));
  for (int q = 0; q < harness::kQuantities; ++q) {
    for (int size = 0; size < harness::kSizeClasses; ++size) {
      EXPECT_EQ(forward.quantities[q][size].worst_line, backward.quantities[q][size].worst_line);
    }
  }
}

TEST(Summary, KeepsTheWorstCasesInOrderAndNoMore) {
  std::vector<CaseResult> results;
  for (int i = 0; i < 500; ++i) results.push_back(with_ratio("case " + std::to_string(i), 10, (i * 37 % 500) / 1000.0));
  results.push_back(with_ratio("not a number", 10, std::numeric_limits<double>::quiet_NaN()));
  results.push_back(samples::with_verdict(Verdict::pass, "nothing compared"));
  const auto s = samples::summarize(results);
  ASSERT_EQ(s.worst.kept().size(), Summary::kWorst);
  EXPECT_EQ(s.worst.kept().begin()->entry.line, "not a number");
  EXPECT_EQ(std::next(s.worst.kept().begin())->entry.ratio, 0.499);
  EXPECT_EQ(s.worst.kept().rbegin()->entry.ratio, 0.481);
}

TEST(Summary, ListsErrorsAndFailuresBeforeVacuousCases) {
  std::vector<CaseResult> results;
  for (size_t i = 0; i < Summary::kDetailed; ++i) {
    results.push_back(samples::with_verdict(Verdict::vacuous, "vacuous " + std::to_string(i)));
  }
  results.push_back(samples::with_verdict(Verdict::fail, "a failure"));
  results.push_back(samples::with_verdict(Verdict::error, "an error"));
  const auto s = samples::summarize(results);
  EXPECT_EQ(s.red.kept().size(), Summary::kDetailed);
  EXPECT_EQ(s.red.kept().begin()->entry.line, "an error");
  EXPECT_EQ(std::next(s.red.kept().begin())->entry.line, "a failure");
  EXPECT_EQ(s.red_cases(), Summary::kDetailed + 2);
  EXPECT_EQ(s.cases.size(), Summary::kDetailed + 2);
}

TEST(Summary, CountsOptionValuesByVerdictAndWhereTheyActed) {
  CaseResult pass = samples::with_verdict(Verdict::pass, "a");
  pass.options = {{"clip=1", true}, {"storage=al8", false}};
  CaseResult fail = samples::with_verdict(Verdict::fail, "b");
  fail.options = {{"clip=1", false}};
  const auto s = samples::summarize({pass, fail});
  const auto& clip = s.options.at("clip=1");
  EXPECT_EQ(clip.cases[static_cast<size_t>(Verdict::pass)], 1u);
  EXPECT_EQ(clip.cases[static_cast<size_t>(Verdict::fail)], 1u);
  EXPECT_EQ(clip.acted[static_cast<size_t>(Verdict::pass)], 1u);
  EXPECT_EQ(clip.acted[static_cast<size_t>(Verdict::fail)], 0u);
  EXPECT_EQ(s.options.at("storage=al8").acted[static_cast<size_t>(Verdict::pass)], 0u);
}

TEST(Summary, SaysInOneSentenceWhatCameOut) {
  EXPECT_EQ(samples::summarize({}).headline(), "no case was run");
  EXPECT_EQ(samples::summarize({with_ratio("a", 1, 0.5)}).headline(), "1 case, none red");
  Summary s = samples::summarize({with_ratio("a", 1, 0.5), with_ratio("b", 1, 2)});
  EXPECT_EQ(s.headline(), "2 cases, 1 red: 1 fail");
  s.outcome.errors = {"out of memory"};
  EXPECT_EQ(s.headline(), "2 cases, 1 red: 1 fail; the run itself failed");
}

TEST(Summary, IsRedWhereAStudyIsAndJudgesByStudiesAloneWhereThereIsNoCase) {
  const auto with_section = [](std::vector<CaseResult> results, bool green) {
    harness::Section section;
    section.id = "codecs";
    section.green = green;
    Summary s = samples::summarize(results);
    s.add(section);
    return s;
  };
  EXPECT_TRUE(with_section({}, true).green());
  EXPECT_EQ(with_section({}, true).headline(), "1 study, none red");
  EXPECT_FALSE(with_section({}, false).green());
  EXPECT_FALSE(samples::summarize({}).green());
  EXPECT_TRUE(with_section({with_ratio("a", 1, 0.5)}, true).green());
  EXPECT_FALSE(with_section({with_ratio("a", 1, 0.5)}, false).green());
  EXPECT_EQ(with_section({with_ratio("a", 1, 0.5)}, false).headline(), "1 case, none red; 1 study is red");
}

}  // namespace
}  // namespace plumbline::reports
