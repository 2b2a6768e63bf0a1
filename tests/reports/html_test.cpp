#include "reports/html.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

using testing::HasSubstr;
using testing::Not;

Summary everything() {
  Summary summary = samples::summarize(samples::mixed());
  summary.add(samples::study());
  return summary;
}

TEST(Html, IsWellFormedAndLoadsNothing) {
  const std::string page = write_html(everything());
  const auto root = samples::parse_xml(page);
  EXPECT_EQ(root.name, "html");
  for (const char* loading : {"img", "iframe", "object"}) EXPECT_TRUE(root.all(loading).empty());
  for (const auto* script : root.all("script")) EXPECT_FALSE(script->attributes.contains("src"));
  for (const auto* link : root.all("link")) EXPECT_EQ(link->attributes.at("href"), "data:,");
  for (const char* outside : {"url(http", "@import", "src=\"http", "href=\"http"})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(Html, CountsElementsWithoutABound) {
  Summary summary = everything();
  auto& row = summary.quantities[size_t(harness::Quantity::row)][size_t(harness::SizeClass::small)];
  row.ratios.add(0.5);
  row.cases = 1;
  row.unbounded = 12;
  EXPECT_THAT(write_html(summary), HasSubstr(">12 without a bound</span>"));
}

TEST(Html, GivesEveryHeadingsSectionAndFigureAnIdOfItsOwnAndLinksOnlyToThem) {
  const auto root = samples::parse_xml(write_html(everything()));
  std::set<std::string> ids;
  for (const char* name : {"section", "figure", "h2", "main", "select", "button", "code", "tbody", "div", "script"})
    for (const auto* element : root.all(name)) {
      if (!element->attributes.contains("id")) continue;
      EXPECT_TRUE(ids.insert(element->attributes.at("id")).second) << element->attributes.at("id");
    }
  for (const auto* link : root.all("a"))
    EXPECT_TRUE(ids.contains(link->attributes.at("href").substr(1))) << link->attributes.at("href");
  for (const auto* section : root.all("section")) EXPECT_TRUE(ids.contains(section->attributes.at("aria-labelledby")));
}

TEST(Html, HoldsTheDataOfEveryChartAndItsDescriptionInWords) {
  const auto root = samples::parse_xml(write_html(everything()));
  nlohmann::json charts;
  for (const auto* script : root.all("script"))
    if (script->attributes.contains("id") && script->attributes.at("id") == "charts")
      charts = nlohmann::json::parse(script->text);
  EXPECT_EQ(charts.at("codecs-codes").at("series").at(0).at("y").size(), 256u);
  for (const auto* figure : root.all("figure")) {
    if (!figure->attributes.contains("data-chart")) continue;
    EXPECT_TRUE(charts.contains(figure->attributes.at("data-chart")));
    EXPECT_NE(figure->all("div").front()->attributes.at("aria-label"), "");
  }
}

TEST(Html, ShowsTheLineOfEveryRedCaseAsItWouldBeTyped) {
  const auto root = samples::parse_xml(write_html(samples::summarize(samples::mixed())));
  std::vector<std::string> lines;
  for (const auto* code : root.all("code")) lines.push_back(code->text);
  EXPECT_THAT(lines, testing::Contains("plumbline case 'adafactor shape=1x2'"));  // vacuous
  EXPECT_THAT(lines, testing::Contains("plumbline case 'adafactor shape=1x5'"));  // error
  EXPECT_THAT(lines, testing::Contains(HasSubstr("a<b & \"c\" '\\''d'\\'' ]]> | `e`")));
}

TEST(Html, HoldsTheDriftOfEveryTrainingAndAFigureForEveryQuantity) {
  const auto root = samples::parse_xml(write_html(everything()));
  EXPECT_EQ(root.all("option").size(), 2u);
  EXPECT_EQ(std::ranges::count_if(root.all("figure"),
                                  [](const auto* figure) { return figure->attributes.contains("data-drift"); }),
            samples::kDriftQuantities);
  for (const auto* script : root.all("script")) {
    if (!script->attributes.contains("id") || script->attributes.at("id") != "trainings") continue;
    const auto trainings = nlohmann::json::parse(script->text);
    ASSERT_EQ(trainings.size(), 2u);
    EXPECT_EQ(trainings[0]["steps"].size(), 24u);
    EXPECT_EQ(trainings[0]["series"].size(), size_t(samples::kDriftQuantities));
    EXPECT_EQ(trainings[0]["series"][0]["bound"].size(), 24u);
  }
}

TEST(Html, ListsEveryRedCaseAlsoBeyondThoseWrittenOut) {
  std::vector<harness::CaseResult> results;
  for (int i = 0; i < 700; ++i)
    results.push_back(samples::with_verdict(harness::Verdict::fail, fmt::format("shape=1x{} steps=1 seed=1", i)));
  const auto root = samples::parse_xml(write_html(samples::summarize(results)));
  std::set<std::string> commands;
  for (const auto* code : root.all("code"))
    if (code->text.starts_with("plumbline case")) commands.insert(code->text);
  for (const auto* script : root.all("script"))
    if (script->attributes.contains("id") && script->attributes.at("id") == "more-red")
      for (const auto& row : nlohmann::json::parse(script->text)) commands.insert(row.at(3));
  EXPECT_EQ(commands.size(), 700u);
}

TEST(Html, OfAGreenRunShowsNoRedSection) {
  const std::string page = write_html(samples::summarize({samples::passing(1)}));
  EXPECT_THAT(page, HasSubstr(">green</span>"));
  EXPECT_THAT(page, Not(HasSubstr("Red cases</h2>")));
}

TEST(Html, OfARunWithoutCasesIsAPageToo) { EXPECT_NO_THROW(samples::parse_xml(write_html(samples::summarize({})))); }

}  // namespace
}  // namespace plumbline::reports
