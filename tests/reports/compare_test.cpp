#include "reports/compare.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "harness/error.h"
#include "reports/compare_html.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using harness::CaseResult;
using harness::Quantity;
using harness::Verdict;
using testing::HasSubstr;

struct Made {
  double scale = 1;    // of error/bound
  double slower = 1;   // of the subject's time
  uint64_t bits = 77;  // of every case
  std::string commit = "aaa";
  uint64_t seed = 1;
  bool same_lines = true;
};

Summary run(const Made& made, const std::function<void(std::vector<CaseResult>&)>& change = {}) {
  std::mt19937_64 random(made.seed);
  std::lognormal_distribution<double> ratio(-2, 0.7), noise(0, 0.3);
  std::vector<CaseResult> results;
  for (int i = 0; i < 400; ++i) {
    CaseResult c =
        samples::with_verdict(Verdict::pass, fmt::format("shape=4x{} seed={}", i, made.same_lines ? 1 : made.seed));
    c.elements = 100;
    c.bits = made.bits + uint64_t(i);
    c.times.subject = 1e-3 * noise(random) * made.slower;
    for (const Quantity q : {Quantity::row, Quantity::parameter}) {
      const double r = std::min(0.999, ratio(random) * (q == Quantity::row ? made.scale : 1));
      auto& quantity = c.quantities.emplace_back();
      quantity.quantity = q;
      quantity.ratios.add(r);
      quantity.worst = {1, 0, 1, 1, 1, r};
    }
    results.push_back(std::move(c));
  }
  if (change) change(results);
  Summary s = samples::summarize(results);
  s.run.commit = made.commit;
  s.run.seed = made.seed;
  return s;
}

Pool pool(const char* name, std::vector<Summary> runs) { return {name, std::move(runs)}; }

const HeadroomChange& row_of(const Comparison& c) {
  return *std::find_if(c.headroom.begin(), c.headroom.end(), [](const auto& h) { return h.quantity == Quantity::row; });
}

TEST(Compare, OfARunWithItselfFindsNothing) {
  const Comparison c = compare(pool("a", {run({})}), pool("b", {run({})}));
  EXPECT_FALSE(c.regressed());
  EXPECT_EQ(c.common, 400u);
  EXPECT_EQ(c.bits_compared, 400u);
  EXPECT_TRUE(c.changed_bits.empty());
  EXPECT_EQ(row_of(c).nearer, 0.5);
  EXPECT_EQ(c.speed.at(0).ratio, 1);
}

TEST(Compare, OfOtherSeedsOfTheSameCodeFindsNothing) {
  std::vector<Summary> a, b;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    a.push_back(run({.seed = seed, .same_lines = false}));
    b.push_back(run({.seed = seed + 100, .same_lines = false}));
  }
  const Comparison c = compare(pool("a", a), pool("b", b));
  EXPECT_FALSE(c.regressed()) << comparison_text(c);
  EXPECT_EQ(c.common, 0u);
  EXPECT_EQ(row_of(c).cases_before, 1200u);
}

TEST(Compare, SeesLostHeadroomInTheQuantityThatLostItOverSeeds) {
  std::vector<Summary> a, b;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    a.push_back(run({.seed = seed, .same_lines = false}));
    b.push_back(run({.scale = 1.5, .seed = seed + 100, .same_lines = false}));
  }
  const Comparison worse = compare(pool("a", a), pool("b", b));
  EXPECT_TRUE(row_of(worse).regressed);
  EXPECT_GT(row_of(worse).median_after, row_of(worse).median_before);
  EXPECT_EQ(std::count_if(worse.headroom.begin(), worse.headroom.end(), [](const auto& h) { return h.significant; }),
            1);
  EXPECT_THAT(comparison_text(worse), HasSubstr("row (medium)"));
  const Comparison better = compare(pool("b", b), pool("a", a));
  EXPECT_TRUE(row_of(better).significant);
  EXPECT_FALSE(better.regressed());
}

TEST(Compare, NamesNewFailuresAndThoseThatAreGone) {
  const auto fail = [](std::vector<CaseResult>& all) {
    all[3].verdict = Verdict::fail;
    all[3].reason = "row broke";
  };
  const Comparison c = compare(pool("a", {run({})}), pool("b", {run({}, fail)}));
  EXPECT_TRUE(c.regressed());
  ASSERT_EQ(c.new_red.size(), 1u);
  EXPECT_THAT(comparison_text(c), HasSubstr("pass -> fail  plumbline case 'shape=4x3 seed=1'"));
  const Comparison back = compare(pool("b", {run({}, fail)}), pool("a", {run({})}));
  EXPECT_FALSE(back.regressed());
  EXPECT_EQ(back.no_longer_red.size(), 1u);
  EXPECT_FALSE(compare(pool("b", {run({}, fail)}), pool("b", {run({}, fail)})).regressed());
}

TEST(Compare, TakesCasesThatAreNoLongerJudgedForARegression) {
  const Comparison c =
      compare(pool("a", {run({})}), pool("b", {run({}, [](auto& all) { all[5].verdict = Verdict::skipped; })}));
  EXPECT_EQ(c.not_judged.size(), 1u);
  EXPECT_TRUE(c.regressed());
}

// A whole run against a part of it, as a budget or a shard leaves it.
TEST(Compare, TakesHalfOfARunForARegression) {
  const Summary whole = run({});
  const auto shard = [](int index) {
    Summary half = run({}, [&](std::vector<CaseResult>& all) {
      std::vector<CaseResult> kept;
      for (size_t i = size_t(index); i < all.size(); i += 2) kept.push_back(all[i]);
      all = kept;
    });
    half.run.shard = index;
    half.run.shards = 2;
    return half;
  };
  const Comparison c = compare(pool("a", {whole}), pool("b", {shard(0)}));
  EXPECT_TRUE(c.regressed());
  EXPECT_EQ(c.not_judged.size(), 200u);
  ASSERT_EQ(c.judges_fewer.size(), 2u);  // of all suites, and of the one
  EXPECT_EQ(c.judges_fewer[0].before, 400);
  EXPECT_EQ(c.judges_fewer[0].after, 200);
  EXPECT_THAT(comparison_text(c), HasSubstr("judged       all: 400 -> 200 cases a run  REGRESSED"));
  EXPECT_FALSE(compare(pool("b", {shard(0)}), pool("a", {whole})).regressed());
  EXPECT_TRUE(compare(pool("b", {shard(0)}), pool("b", {shard(1)})).regressed()) << "other cases of the same plan";
  // Another plan has other cases; as many of them are no loss.
  const Summary other = run({.seed = 2, .same_lines = false});
  EXPECT_FALSE(compare(pool("a", {whole}), pool("b", {other})).regressed());
  Summary fewer = run({.seed = 2, .same_lines = false}, [](auto& all) { all.resize(399); });
  EXPECT_TRUE(compare(pool("a", {whole}), pool("b", {fewer})).regressed());
}

std::vector<Summary> repeats(std::vector<double> factors) {
  std::vector<Summary> out;
  for (size_t i = 0; i < factors.size(); ++i) {
    Summary s = run({}, [&](auto& all) {
      std::mt19937_64 random(7 + i);
      std::lognormal_distribution<double> noise(0, 0.3);
      for (auto& c : all) c.times.subject = 1e-3 * noise(random) * factors[i];
    });
    out.push_back(std::move(s));
  }
  return out;
}

TEST(Compare, TakesASlowerSubjectForARegressionOnlyWhereEveryRunSaysSo) {
  const auto speed = [](std::vector<double> before, std::vector<double> after, const CompareOptions& options = {}) {
    return compare(pool("a", repeats(std::move(before))), pool("b", repeats(std::move(after))), options).speed.at(0);
  };
  const SpeedChange slower = speed({1, 1.02, 0.99}, {1.3, 1.28, 1.33});
  EXPECT_TRUE(slower.regressed) << slower.low;
  EXPECT_NEAR(slower.ratio, 1.3, 0.08);
  EXPECT_FALSE(speed({1, 1, 1}, {1.05, 1.05, 1.05}).regressed);
  // A machine that does other things: single timings, and runs that overlap.
  EXPECT_FALSE(speed({1}, {3}).regressed);
  EXPECT_FALSE(speed({1}, {3}).judged);
  EXPECT_FALSE(speed({1, 1}, {3, 3, 3}).judged);
  EXPECT_FALSE(speed({1, 1.8, 1}, {1.7, 1.9, 1.1}).regressed);
  EXPECT_TRUE(speed({1, 1.8, 1}, {1.7, 1.9, 1.1}).judged);
  CompareOptions options;
  options.ignore_speed = true;
  EXPECT_FALSE(speed({1, 1, 1}, {1.3, 1.3, 1.3}, options).regressed);
  EXPECT_THAT(comparison_text(compare(pool("a", repeats({1})), pool("b", repeats({3})))),
              HasSubstr("speed is judged between folders of 3 or more runs each: 1 and 1 are here"));
}

TEST(Compare, TakesChangedBitsForARegressionWithinOneCommitOnly) {
  const auto changed = [](const std::string& commit, bool strict) {
    CompareOptions options;
    options.same_bits = strict;
    return compare(pool("a", {run({})}), pool("b", {run({.bits = 1000, .commit = commit})}), options);
  };
  EXPECT_EQ(changed("bbb", false).changed_bits.size(), 400u);
  EXPECT_FALSE(changed("bbb", false).regressed());
  EXPECT_TRUE(changed("bbb", true).regressed());
  EXPECT_TRUE(changed("aaa", false).regressed());
  const Comparison unknown = compare(pool("a", {run({})}), pool("b", {run({}, [](auto& all) {
                                                                  for (auto& c : all) c.bits = 0;
                                                                })}));
  EXPECT_FALSE(unknown.bits_known);
  EXPECT_FALSE(unknown.regressed());
  EXPECT_THAT(comparison_text(unknown), HasSubstr("not recorded in both"));
  CompareOptions strict;  // which nothing can vouch for then
  strict.same_bits = true;
  EXPECT_TRUE(compare(pool("a", {run({.bits = 0})}),
                      pool("b", {run({},
                                     [](auto& all) {
                                       for (auto& c : all) c.bits = 0;
                                     })}),
                      strict)
                  .regressed());
}

TEST(Compare, TakesTwoAnswersOfOneCommitForARegression) {
  const auto against = [](uint64_t bits) {
    return compare(pool("a", {run({})}),
                   pool("b", {run({.bits = 1000, .commit = "bbb"}), run({.bits = bits, .commit = "bbb", .seed = 2})}));
  };
  EXPECT_FALSE(against(1000).regressed());
  EXPECT_TRUE(against(1001).regressed());
  EXPECT_EQ(against(1001).changed_bits.size(), 400u);
}

TEST(Compare, FindsSlowerRowsInTablesOfStudiesAndStudiesThatTurnedRed) {
  const auto with = [](double time, double rate, bool green) {
    Summary s = run({});
    s.add({"codecs",
           "Codecs",
           "",
           green,
           {{"speed", {"codec", "time (us)", "rate (GB/s)", "codes"}, {{"al8", time, rate, int64_t(256)}}}},
           {}});
    return s;
  };
  const auto compared = [&](double time, double rate, bool green = true) {
    const Summary a = with(10, 100, true), b = with(time, rate, green);
    return compare(pool("a", {a, a, a}), pool("b", {b, b, b}));
  };
  EXPECT_FALSE(compared(10.5, 99).regressed());
  EXPECT_EQ(compared(10.5, 99).measures.size(), 2u);
  EXPECT_TRUE(compared(12, 100).regressed());
  EXPECT_TRUE(compared(10, 80).regressed());
  EXPECT_TRUE(compared(10, 100, false).regressed());
  // One timing is none; nor are three of which one is as before.
  const Comparison single = compare(pool("a", {with(10, 100, true)}), pool("b", {with(30, 30, true)}));
  EXPECT_FALSE(single.regressed());
  EXPECT_FALSE(single.measures.at(0).judged);
  const Comparison mixed = compare(pool("a", {with(10, 100, true), with(10, 100, true), with(10, 100, true)}),
                                   pool("b", {with(30, 30, true), with(10, 100, true), with(30, 30, true)}));
  EXPECT_TRUE(mixed.measures.at(0).judged);
  EXPECT_FALSE(mixed.regressed());
  const Comparison lost = compare(pool("a", {with(10, 100, true)}), pool("b", {run({})}));
  EXPECT_EQ(lost.lost_sections.size(), 1u);
  EXPECT_TRUE(lost.regressed());
}

TEST(Compare, RefusesReportsThatHaveNothingInCommon) {
  EXPECT_THROW(compare(pool("a", {samples::summarize({})}), pool("b", {run({})})), harness::InputError);
}

TEST(CompareText, OfAVeryBadComparisonFitsAScreen) {
  const Comparison c =
      compare(pool("a", {run({})}), pool("b", {run({.scale = 5, .slower = 3, .bits = 5, .seed = 9}, [](auto& all) {
                                           for (auto& one : all) one.verdict = Verdict::fail;
                                         })}));
  const std::string text = comparison_text(c);
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 40);
}

TEST(CompareHtml, IsWellFormedAndNamesEveryNewFailure) {
  const Comparison c = compare(pool("a<b>", {run({})}), pool("b", {run({.bits = 5}, [](auto& all) {
                                                               all[3].verdict = Verdict::fail;
                                                               all[3].reason = samples::kHostile;
                                                             })}));
  const auto root = samples::parse_xml(write_compare_html(c));
  std::vector<std::string> lines;
  for (const auto* code : root.all("code")) lines.push_back(code->text);
  EXPECT_THAT(lines, testing::Contains("plumbline case 'shape=4x3 seed=1'"));
  EXPECT_EQ(root.all("figure").size(), 1u);
  EXPECT_EQ(root.all("title").front()->text, "Plumbline: regressed");
}

}  // namespace
}  // namespace plumbline::reports
