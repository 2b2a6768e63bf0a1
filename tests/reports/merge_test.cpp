#include "reports/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "harness/error.h"
#include "harness/registry.h"
#include "reports/html.h"
#include "reports/json.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/read.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using testing::HasSubstr;

// Times are whole numbers of units here, so that their sums do not depend on the order.
std::vector<harness::CaseResult> results() {
  auto out = samples::mixed();
  for (uint64_t seed = 100; seed < 160; ++seed) {
    auto red = samples::failing("shape=3x" + std::to_string(seed));
    red.bits = seed;
    out.push_back(red);
  }
  for (auto& result : out) result.times = {0.25, 0.5, 0.125, 1, 2};
  return out;
}

Summary report_of(int shard, int shards) {
  const auto all = results();
  Summary summary;
  harness::RunDescription run = samples::description();
  run.shard = shard;
  run.shards = shards;
  run.suite_cases = all.size();
  run.suite_checksum = 7;
  harness::RunSummary end;
  end.seconds = 12.5;
  std::vector<harness::CaseResult> mine;
  for (size_t i = size_t(shard); i < all.size(); i += size_t(shards)) mine.push_back(all[i]);
  summary.begin(run, mine.size());
  for (const auto& result : mine) {
    summary.add(result);
    ++end.verdicts[size_t(result.verdict)];
  }
  summary.finish(end);
  return summary;
}

// As a program would do it: through files.
NamedSummary part(int shard, int shards) {
  const std::string name = std::to_string(shard);
  return {name, parse_report(write_json(report_of(shard, shards)), name)};
}

std::vector<NamedSummary> parts(int shards) {
  std::vector<NamedSummary> out;
  for (int i = 0; i < shards; ++i) out.push_back(part((i * 7 + 3) % shards, shards));
  return out;
}

std::string refusal(std::vector<NamedSummary> given) {
  try {
    merge_reports(std::move(given));
  } catch (const harness::InputError& e) {
    return e.what();
  }
  return "";
}

TEST(Merge, OfAllShardsInAnyOrderGivesTheBytesOfTheWholeRun) {
  const Summary whole = report_of(0, 1);
  for (const int shards : {1, 2, 5, 64}) {
    const Summary merged = merge_reports(parts(shards));
    EXPECT_EQ(write_json(merged), write_json(whole)) << shards;
    EXPECT_EQ(write_html(merged), write_html(whole)) << shards;
    EXPECT_EQ(write_markdown(merged), write_markdown(whole)) << shards;
    EXPECT_EQ(write_junit(merged), write_junit(whole)) << shards;
  }
}

TEST(Merge, RefusesShardsThatOverlapAndIsRedWithoutSome) {
  auto twice = parts(5);
  twice.push_back(part(1, 5));
  EXPECT_THAT(refusal(std::move(twice)), HasSubstr("shard 1/5 is given twice"));
  auto fewer = parts(5);
  std::erase_if(fewer, [](const NamedSummary& p) { return p.name == "4" || p.name == "2"; });
  const Summary incomplete = merge_reports(std::move(fewer));
  EXPECT_FALSE(incomplete.green());
  EXPECT_THAT(incomplete.outcome.errors,
              testing::Contains("2 of 5 shards are missing: 2, 4; 65 of 107 planned cases were judged"));
  EXPECT_EQ(incomplete.planned, 107u);
  // and what was written can be read again
  EXPECT_FALSE(parse_report(write_json(incomplete), "incomplete").green());
  EXPECT_EQ(refusal({part(0, 1), part(0, 1)}), "shard 0/1 is given twice: 0 and 0");
  auto short_one = parts(5);
  short_one[0].summary.cases.pop_back();
  EXPECT_THAT(merge_reports(std::move(short_one)).outcome.errors,
              testing::Contains("106 of 107 planned cases were judged"));
  auto other_suite = parts(5);
  for (auto& p : other_suite) p.summary.run.suite_cases = 108;
  EXPECT_EQ(refusal(std::move(other_suite)), "the shards planned 107 cases: expected the 108 of the suite");
}

// A shard that was cut short, or that never ended, is not made whole by the others.
TEST(Merge, OfAStoppedShardIsNotGreen) {
  for (const bool accepted : {false, true}) {
    auto given = parts(3);
    for (auto& p : given) p.summary.run.suite = "quick";
    harness::RunSummary& one = given[1].summary.outcome;
    one.stopped = accepted ? "the budget of 2 s was spent" : kUnfinished;
    one.not_begun = 4;
    one.part_accepted = accepted;
    const bool otherwise_green = merge_reports(parts(3)).green();
    const Summary merged = merge_reports(std::move(given));
    EXPECT_EQ(merged.outcome.stopped, accepted ? "the budget of 2 s was spent" : kUnfinished);
    EXPECT_EQ(merged.outcome.not_begun, 4u);
    EXPECT_EQ(merged.outcome.part_accepted, accepted);
    EXPECT_EQ(merged.green(), accepted && otherwise_green);
    EXPECT_THAT(merged.headline(), HasSubstr("truncated: "));
  }
}

TEST(Merge, ACountThatAFileOnlyClaimsCostsNothing) {
  auto given = parts(2);
  for (auto& p : given) p.summary.run.shards = std::numeric_limits<int>::max();
  EXPECT_THAT(merge_reports(std::move(given)).outcome.errors.front(),
              HasSubstr("2147483645 of 2147483647 shards are missing: 2, 3, 4, 5, 6, 7, 8, 9 and 2147483637 more"));
}

TEST(Merge, RefusesPartsOfDifferentRuns) {
  const auto differing = [](auto change) {
    auto given = parts(3);
    change(given[1].summary.run);
    return refusal(std::move(given));
  };
  EXPECT_THAT(differing([](auto& run) { run.commit = "fff"; }), HasSubstr("commit '0123abc' and 'fff'"));
  EXPECT_THAT(differing([](auto& run) { run.seed = 4; }), HasSubstr("seed"));
  EXPECT_THAT(differing([](auto& run) { run.subject = "cuda"; }), HasSubstr("subject"));
  EXPECT_THAT(differing([](auto& run) { run.suite_checksum = 8; }), HasSubstr("planned cases"));
  auto mixed = parts(3);
  mixed.push_back(part(1, 4));
  EXPECT_THAT(refusal(std::move(mixed)), HasSubstr("number of shards '3' and '4'"));
}

TEST(Merge, NamesEveryMachineOnce) {
  auto given = parts(3);
  for (auto& p : given) p.summary.run.cpu = p.name == "1" ? "B" : "A";
  EXPECT_EQ(merge_reports(std::move(given)).run.cpu, "A; B");
}

Summary study_report(const std::string& id, const std::string& commit = "0123abc") {
  Summary s;
  s.begin(samples::description(), 0);
  s.run.commit = commit;
  s.run.suite = id;
  harness::Section section = samples::study();
  section.id = id;
  s.add(section);
  s.finish({});
  return s;
}

TEST(Merge, TakesStudiesAlong) {
  auto given = parts(2);
  given.push_back({"codecs", study_report("codecs")});
  given.insert(given.begin(), {"mutants", study_report("mutants")});
  const Summary merged = merge_reports(std::move(given));
  ASSERT_EQ(merged.sections.size(), 2u);
  EXPECT_EQ(merged.sections[0].id, "mutants");
  EXPECT_EQ(merged.cases.size(), 107u);
  EXPECT_EQ(merged.run.suite, "full");
  const Summary studies = merge_reports({{"a", study_report("codecs")}, {"b", study_report("mutants")}});
  EXPECT_TRUE(studies.green());
  EXPECT_EQ(studies.run.suite, "codecs; mutants");
  EXPECT_THAT(refusal({{"a", study_report("codecs")}, {"b", study_report("codecs")}}),
              HasSubstr("section 'codecs' is in another report"));
  EXPECT_THAT(refusal({{"a", study_report("codecs")}, {"b", study_report("mutants", "other")}}), HasSubstr("commit"));
}

TEST(Merge, JoinsWhatShardsSayOfTheSameStudy) {
  auto given = parts(2);
  for (auto& p : given) {
    harness::Section section{"coverage", "Coverage", "", true, {{"", {"triple"}, {{p.name}}}}, {}};
    p.summary.add(section);
    section.id = "same";
    section.tables[0].rows = {{"all"}};
    p.summary.add(section);
  }
  const Summary merged = merge_reports(std::move(given));
  ASSERT_EQ(merged.sections.size(), 2u);
  EXPECT_EQ(merged.sections[0].tables[0].rows, (std::vector<std::vector<harness::Cell>>{{"0"}, {"1"}}));
  EXPECT_EQ(merged.sections[1].tables[0].rows.size(), 1u);
}

// A census whose section is the sum of what its parts counted.
const harness::RegisterSuiteCensus kCounted(
    {"counted", "optimizer", {}, [](std::span<const std::string> parts) {
       int64_t sum = 0;
       for (const std::string& part : parts) sum += std::stoi(part);
       return harness::Section{"counted", "Counted", "", false, {{"", {"all"}, {{sum}}}}, {}};
     }});

TEST(Merge, JoinsWhatACensusCountedInEveryShard) {
  const auto counted = [](int shards) {
    auto given = parts(shards);
    for (auto& p : given) {
      harness::Section section{"counted", "Counted", "", true, {}, {}, std::to_string(100 + std::stoi(p.name))};
      p.summary.add(section);
      p = {p.name, parse_report(write_json(p.summary), p.name)};
    }
    return given;
  };
  const Summary merged = merge_reports(counted(3));
  ASSERT_EQ(merged.sections.size(), 1u);
  EXPECT_EQ(merged.sections[0].tables[0].rows, (std::vector<std::vector<harness::Cell>>{{int64_t(303)}}));
  EXPECT_EQ(merged.sections[0].part, "");
  EXPECT_FALSE(merged.green());

  auto fewer = counted(3);
  for (auto& p : fewer)
    if (p.name == "1") p.summary.sections.clear();
  EXPECT_EQ(refusal(std::move(fewer)), "1: holds no part of section 'counted', as 0 does");
  auto unknown = counted(2);
  for (auto& p : unknown) p.summary.sections[0].id = "strange";
  EXPECT_THAT(refusal(std::move(unknown)), HasSubstr("section 'strange' is of no census that this program has"));
}

}  // namespace
}  // namespace plumbline::reports
