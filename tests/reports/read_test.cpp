#include "reports/read.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/error.h"
#include "reports/compare.h"
#include "reports/json.h"
#include "reports/nearest.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using testing::HasSubstr;

std::string written() {
  Summary summary = samples::summarize(samples::mixed());
  summary.add(samples::study());
  summary.run.shards = 4;
  summary.run.shard = 2;
  summary.run.suite_cases = 188;
  summary.run.suite_checksum = 0xfedcba9876543210u;
  summary.outcome.errors = {"one \"error\""};
  return write_json(summary);
}

std::string refusal(const std::string& text) {
  try {
    parse_report(text, "a/report.json");
  } catch (const harness::InputError& e) {
    return e.what();
  }
  return "";
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, text.npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(Read, GivesBackWhatWasWrittenByteForByte) {
  const std::string once = written();
  EXPECT_EQ(write_json(parse_report(once, "a")), once);
}

// Files of earlier versions stay readable.
TEST(Read, TakesAReportOf010) {
  const Summary old = read_report(PLUMBLINE_RELEASED "/0.1.0/report.json");
  EXPECT_EQ(old.run.version, "0.1.0");
  EXPECT_GT(old.cases.size(), 0u);
  EXPECT_TRUE(old.green());
  EXPECT_EQ(old.outcome.stopped, "");
  EXPECT_FALSE(nearest(old, false).empty());
  const Summary again = parse_report(write_json(old), "again");
  EXPECT_EQ(write_json(again), write_json(old));
  EXPECT_FALSE(compare({"old", {old}}, {"again", {again}}).regressed());
}

TEST(Read, RefusesAReportThatIsCutOffAnywhere) {
  const std::string whole = written();
  for (size_t length = 0; length + 2 < whole.size(); length += 997) {
    const std::string says = refusal(whole.substr(0, length));
    EXPECT_THAT(says, HasSubstr("a/report.json: cut off after ")) << length;
    EXPECT_EQ(says.find('\n'), says.npos);
  }
}

TEST(Read, RefusesAnotherSchemaAndWhatIsNoReport) {
  EXPECT_THAT(refusal(replaced(written(), "plumbline-report/1", "plumbline-report/9")),
              HasSubstr("schema 'plumbline-report/9': expected 'plumbline-report/1'"));
  EXPECT_THAT(refusal("[1, 2]"), HasSubstr("no 'schema'"));
  EXPECT_THAT(refusal("{\"schema\": 3}"), HasSubstr("no 'schema'"));
  EXPECT_THAT(refusal("<html>"), HasSubstr("not JSON at byte 1"));
}

TEST(Read, RefusesMembersThatAreMissingOrOfAnotherKindOrDoNotAddUp) {
  EXPECT_THAT(refusal(replaced(written(), "\"outcome\"", "\"income\"")), HasSubstr("'outcome' not found"));
  EXPECT_THAT(refusal(replaced(written(), "\"seed\":18446744073709551615", "\"seed\":\"many\"")),
              HasSubstr("type must be number"));
  EXPECT_THAT(refusal(replaced(written(), "\"verdict\":\"pass\"", "\"verdict\":\"perhaps\"")),
              HasSubstr("verdict 'perhaps' is not known"));
  EXPECT_THAT(refusal(replaced(written(), "\"pass\":42", "\"pass\":41")),
              HasSubstr("47 cases are listed, 46 were counted"));
  EXPECT_THAT(refusal(replaced(written(), "\"histogram\":[[0,", "\"histogram\":[[0,1")), HasSubstr("does not add up"));
}

// Reports are merged and compared by machines: what is counted has to be what is listed.
TEST(Read, RefusesCountsThatAreNotThoseOfTheCases) {
  const std::string text = write_json(samples::summarize({samples::passing(1), samples::failing("shape=4")}));
  EXPECT_EQ(refusal(text), "");
  EXPECT_THAT(refusal(replaced(replaced(text, "\"pass\":1", "\"pass\":2"), "\"fail\":1", "\"fail\":0")),
              HasSubstr("1 cases of verdict fail are listed, 0 were counted"));
  EXPECT_THAT(refusal(replaced(text, "\"planned\":2", "\"planned\":19")),
              HasSubstr("2 of 19 planned cases were judged, and nothing says why"));
  std::string said = replaced(text, "\"planned\":2", "\"planned\":19");
  said = replaced(said, "\"errors\":[]", "\"errors\":[\"interrupted\"]");
  EXPECT_EQ(refusal(said), "");
}

TEST(Read, RefusesNumbersThatAnIntWouldWrapAndListsWithinLists) {
  EXPECT_THAT(refusal(replaced(written(), "\"index\":2,", "\"index\":4294967296,")),
              HasSubstr("shard 4294967296: expected 0 to 2147483647"));
  EXPECT_THAT(refusal(replaced(written(), "\"index\":2,", "\"index\":-1,")), HasSubstr("shard -1"));
  const std::string deep = "{\"schema\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(refusal(deep), "a/report.json: nests deeper than 64 levels");
}

TEST(Read, NamesTheFileThatIsNotThere) {
  try {
    read_report("/nonexistent/folder");
    FAIL();
  } catch (const harness::InputError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/nonexistent/folder: cannot be read"));
  }
}

}  // namespace
}  // namespace plumbline::reports
