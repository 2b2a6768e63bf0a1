#include "harness/section_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace plumbline::harness {
namespace {

TEST(SectionText, SetsNumbersToTheRightAndWordsToTheLeft) {
  const Table table{
      "Two rows", {"name", "error (%)", "count"}, {{"al8", 0.123456, int64_t{7}}, {"linear", 12.0, int64_t{1234}}}};
  EXPECT_EQ(table_text(table),
            "Two rows\n"
            "name    error (%)  count\n"
            "------  ---------  -----\n"
            "al8         0.123      7\n"
            "linear         12   1234\n");
}

TEST(SectionText, LeavesANaNEmptyAndNamesAnInfinity) {
  const Table table{"", {"a", "b"}, {{std::nan(""), std::numeric_limits<double>::infinity()}, {1e-9, 123456.0}}};
  EXPECT_EQ(table_text(table),
            "    a       b\n"
            "-----  ------\n"
            "          inf\n"
            "1e-09  123456\n");
}

TEST(SectionText, CountsCharactersNotBytes) {
  const Table table{"", {"a", "b"}, {{"β²", "x"}, {"ab", "y"}}};
  EXPECT_EQ(table_text(table), "a   b\n--  -\nβ²  x\nab  y\n");
}

TEST(SectionText, AShortRowAndAnEmptyTableAreNoTrouble) {
  EXPECT_EQ(table_text({"", {"a", "b"}, {{"x"}}}), "a  b\n-  -\nx\n");
  EXPECT_EQ(table_text({"", {"a", "b"}, {}}), "a  b\n-  -\n");
}

TEST(SectionText, WrapsItsTextAndShowsTheFirstTableOrAll) {
  Section section{"id", "Title", "", true, {{"one", {"a"}, {{"x"}}}, {"two", {"b"}, {{"y"}}}}, {}};
  for (int i = 0; i < 30; ++i) section.text += "words ";
  const std::string first = section_text(section, TablesShown::first), all = section_text(section, TablesShown::all);
  EXPECT_EQ(first.find("two"), std::string::npos);
  EXPECT_NE(all.find("two"), std::string::npos);
  EXPECT_TRUE(all.starts_with("Title\n=====\nwords"));
  size_t longest = 0;
  for (size_t at = 0, end = 0; (end = all.find('\n', at)) != std::string::npos; at = end + 1)
    longest = std::max(longest, end - at);
  EXPECT_LE(longest, 100u);
  section.green = false;
  EXPECT_TRUE(section_text(section).starts_with("Title: red\n"));
}

}  // namespace
}  // namespace plumbline::harness
