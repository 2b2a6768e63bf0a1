#include "reports/markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Markdown, SaysWhatIsRedAndHowToRepeatIt) {
  const std::string text = write_markdown(samples::summarize(samples::mixed()));
  EXPECT_THAT(text, HasSubstr("# Plumbline: red"));
  EXPECT_THAT(text, HasSubstr("47 cases, 3 red: 1 fail, 1 vacuous, 1 error"));
  EXPECT_THAT(text, HasSubstr("| fail | row |"));
  EXPECT_THAT(text, HasSubstr("plumbline case 'adafactor shape=1x5'"));
}

TEST(Markdown, ShowsTheTablesOfAStudy) {
  Summary summary = samples::summarize(samples::mixed());
  summary.add(samples::study());
  const std::string text = write_markdown(summary);
  EXPECT_THAT(text, HasSubstr("## Codecs"));
  EXPECT_THAT(text, HasSubstr("| codec | encode (GB/s) | codes |\n|---|---:|---:|\n| al8 | 812.5 | 256 |"));
}

TEST(Markdown, CountsElementsWithoutABound) {
  Summary summary = samples::summarize({samples::passing(1)});
  auto& row = summary.quantities[size_t(harness::Quantity::row)][size_t(harness::SizeClass::small)];
  row.ratios.add(0.5);
  row.cases = 1;
  row.unbounded = 12;
  EXPECT_THAT(write_markdown(summary), HasSubstr("12 without a bound |"));
}

TEST(Markdown, KeepsItsTablesWhole) {
  Summary summary = samples::summarize(samples::mixed());
  summary.add(samples::study());
  std::istringstream lines(write_markdown(summary));
  int columns = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('|')) {
      columns = 0;
      continue;
    }
    int bars = 0;
    for (size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    if (columns == 0) columns = bars;
    EXPECT_EQ(bars, columns) << line;
  }
}

TEST(Markdown, OfAGreenRunHasNoRedTable) {
  const std::string text = write_markdown(samples::summarize({samples::passing(1)}));
  EXPECT_THAT(text, HasSubstr("# Plumbline: green"));
  EXPECT_THAT(text, Not(HasSubstr("## Red cases")));
}

}  // namespace
}  // namespace plumbline::reports
