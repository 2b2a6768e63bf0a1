#include "reports/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Html, IsWellFormedAndLoadsNothing) {
  const std::string page = write_html(samples::summarize(samples::mixed()));
  const auto root = samples::parse_xml(page);
  EXPECT_EQ(root.name, "html");
  for (const char* loading : {"script", "link", "img", "iframe", "object"}) EXPECT_TRUE(root.all(loading).empty());
  for (const char* outside : {"http:", "https:", "url(", "@import"}) EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(Html, ShowsTheLineOfEveryRedCaseAsItWouldBeTyped) {
  const auto root = samples::parse_xml(write_html(samples::summarize(samples::mixed())));
  std::vector<std::string> lines;
  for (const auto* code : root.all("code")) lines.push_back(code->text);
  EXPECT_THAT(lines, testing::Contains("plumbline case 'adafactor shape=1x2'"));  // vacuous
  EXPECT_THAT(lines, testing::Contains("plumbline case 'adafactor shape=1x5'"));  // error
  EXPECT_THAT(lines, testing::Contains(HasSubstr("a<b & \"c\" '\\''d'\\'' ]]> | `e`")));
}

TEST(Html, DrawsEveryDriftQuantity) {
  const auto root = samples::parse_xml(write_html(samples::summarize(samples::mixed())));
  EXPECT_EQ(root.all("figure").size(), 8u);
}

TEST(Html, OfAGreenRunShowsNoRedSection) {
  const std::string page = write_html(samples::summarize({samples::passing(1)}));
  EXPECT_THAT(page, HasSubstr(">green</span>"));
  EXPECT_THAT(page, Not(HasSubstr("<h2>Red cases</h2>")));
}

TEST(Html, OfARunWithoutCasesIsAPageToo) { EXPECT_NO_THROW(samples::parse_xml(write_html(samples::summarize({})))); }

}  // namespace
}  // namespace plumbline::reports
