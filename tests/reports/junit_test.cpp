#include "reports/junit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using samples::parse_xml;
using testing::HasSubstr;

TEST(JUnit, CountsWhatItLists) {
  const auto root = parse_xml(write_junit(samples::summarize(samples::mixed())));
  EXPECT_EQ(root.name, "testsuites");
  EXPECT_EQ(root.attributes.at("tests"), "47");
  EXPECT_EQ(root.attributes.at("failures"), "2");  // fail and vacuous
  EXPECT_EQ(root.attributes.at("errors"), "1");
  EXPECT_EQ(root.attributes.at("skipped"), "1");
  EXPECT_EQ(root.all("testcase").size(), 47u);
  EXPECT_EQ(root.all("failure").size(), 2u);
  EXPECT_EQ(root.all("error").size(), 1u);
  EXPECT_EQ(root.all("skipped").size(), 1u);
  EXPECT_EQ(root.all("testsuite").size(), 2u);
}

TEST(JUnit, AFailureNamesItsStageAndItsLine) {
  const auto root = parse_xml(write_junit(samples::summarize(samples::mixed())));
  const samples::Element* failure = nullptr;
  for (const auto* f : root.all("failure")) failure = f->attributes.at("type") == "fail" ? f : failure;
  ASSERT_NE(failure, nullptr);
  EXPECT_THAT(failure->attributes.at("message"), HasSubstr("first outside its bound: row at step 3"));
  EXPECT_THAT(failure->attributes.at("message"), HasSubstr("a<b & \"c\" 'd' ]]>"));
  EXPECT_THAT(failure->text, HasSubstr("plumbline case 'adafactor shape=37x129"));
}

// It makes the run red, and whoever reads this file alone has to see it.
TEST(JUnit, ARedStudyIsAFailure) {
  Summary s = samples::summarize({samples::passing(1)});
  s.sections.push_back({"coverage", "Coverage: 3 <pairs> missing", "", false, {}, {}});
  s.sections.push_back({"properties", "Properties", "", true, {}, {}});
  const auto root = parse_xml(write_junit(s));
  EXPECT_EQ(root.attributes.at("tests"), "3");
  EXPECT_EQ(root.attributes.at("failures"), "1");
  EXPECT_EQ(root.all("testcase").size(), 3u);
  ASSERT_EQ(root.all("failure").size(), 1u);
  EXPECT_THAT(root.all("failure")[0]->attributes.at("message"), HasSubstr("Coverage: 3 <pairs> missing"));
}

TEST(JUnit, AnErrorOfTheRunItselfIsListed) {
  Summary s = samples::summarize({samples::passing(1)});
  s.outcome.errors = {"the trace <x> is truncated"};
  const auto root = parse_xml(write_junit(s));
  ASSERT_EQ(root.all("error").size(), 1u);
  EXPECT_EQ(root.all("error")[0]->attributes.at("message"), "the trace <x> is truncated");
  EXPECT_EQ(root.attributes.at("tests"), "2");
  EXPECT_EQ(root.attributes.at("errors"), "1");
}

}  // namespace
}  // namespace plumbline::reports
