#include "reports/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using nlohmann::json;

json parsed() {
  static const json document = json::parse(write_json(samples::summarize(samples::mixed())));
  return document;
}

TEST(Json, CarriesTheRunAndItsOutcome) {
  const json j = parsed();
  EXPECT_EQ(j.at("schema"), "plumbline-report/1");
  EXPECT_EQ(j.at("run").at("command"), "plumbline verify --report 'out <dir>'");
  EXPECT_EQ(j.at("run").at("seed").get<uint64_t>(), 18446744073709551615u);
  EXPECT_EQ(j.at("outcome").at("green"), false);
  EXPECT_EQ(j.at("outcome").at("verdicts").at("fail"), 1);
  EXPECT_EQ(j.at("outcome").at("verdicts").at("pass"), 42);
  EXPECT_EQ(j.at("cases").size(), 47u);
}

TEST(Json, GivesEveryComparedQuantityWithItsWholeDistribution) {
  const json j = parsed();
  ASSERT_FALSE(j.at("quantities").empty());
  bool row_seen = false;
  for (const json& q : j.at("quantities")) {
    uint64_t counted = 0;
    for (const json& bucket : q.at("histogram")) counted += bucket.at(1).get<uint64_t>();
    EXPECT_EQ(counted, q.at("elements").get<uint64_t>());
    row_seen = row_seen || q.at("quantity") == "row";
  }
  EXPECT_TRUE(row_seen);
}

TEST(Json, WritesWhatIsNotFiniteAsText) {
  const json j = parsed();
  const json& failure = j.at("red").at(1);  // the error comes first
  EXPECT_EQ(failure.at("verdict"), "fail");
  const json& row = failure.at("quantities").at(static_cast<size_t>(harness::Quantity::row));
  EXPECT_EQ(row.at("quantity"), "row");
  EXPECT_EQ(row.at("max"), "inf");
  EXPECT_EQ(row.at("worst").at("got"), "nan");
  EXPECT_EQ(row.at("worst").at("expected"), 0.25);
}

TEST(Json, ListsEveryCaseWithReasonAndBrokenStage) {
  const json j = parsed();
  int failures = 0;
  for (const json& c : j.at("cases")) {
    if (c.at("verdict") == "pass") {
      EXPECT_FALSE(c.contains("reason"));
    } else {
      EXPECT_TRUE(c.contains("reason"));
    }
    if (c.at("verdict") != "fail") continue;
    ++failures;
    EXPECT_EQ(c.at("first_broken"), "row");
    EXPECT_EQ(c.at("first_broken_step"), 3);
    EXPECT_THAT(c.at("line").get<std::string>(), testing::HasSubstr("<script>alert(1)</script>"));
  }
  EXPECT_EQ(failures, 1);
}

TEST(Json, HoldsTheDriftOfEveryStep) {
  const json j = parsed();
  ASSERT_EQ(j.at("drift").size(), 2u);
  EXPECT_EQ(j.at("drift").at(0).at("line"), "trace=digits_cnn storage=log_u8");
  const json& series = j.at("drift").at(0).at("series");
  ASSERT_EQ(series.size(), size_t(samples::kDriftQuantities));
  EXPECT_EQ(series.at(0).at("quantity"), "row_drift");
  EXPECT_EQ(series.at(0).at("step").size(), 24u);
  EXPECT_EQ(series.at(0).at("bound").size(), 24u);
}

TEST(Json, OfARunWithoutCasesIsADocumentToo) {
  const json j = json::parse(write_json(samples::summarize({})));
  EXPECT_TRUE(j.at("cases").empty());
  EXPECT_EQ(j.at("outcome").at("green"), false);
}

}  // namespace
}  // namespace plumbline::reports
