#include "reports/section_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

TEST(SectionJson, ReadsBackAsItWasWritten) {
  const std::string once = dump_json(section_json(samples::study()));
  const harness::Section back = section_from(nlohmann::ordered_json::parse(once));
  EXPECT_EQ(dump_json(section_json(back)), once);
  EXPECT_EQ(back.charts.size(), samples::study().charts.size());
  EXPECT_TRUE(std::isnan(std::get<double>(back.tables[0].rows[1][1])));
  EXPECT_EQ(std::get<int64_t>(back.tables[0].rows[1][2]), -1234567);
}

TEST(SectionJson, KeepsWholeNumbersThatAreMeasuredApartFromCounts) {
  harness::Section section;
  section.tables.push_back({"", {"a", "b", "c"}, {{3.0, int64_t{3}, "3"}}});
  const auto back = section_from(nlohmann::ordered_json::parse(dump_json(section_json(section))));
  EXPECT_EQ(back.tables[0].rows[0], section.tables[0].rows[0]);
}

TEST(SectionJson, RefusesWhatItDoesNotKnow) {
  nlohmann::ordered_json value = section_json(samples::study());
  value["charts"][0]["kind"] = "pie";
  EXPECT_THROW(section_from(value), std::exception);
  EXPECT_THROW(number_from("many"), std::exception);
}

}  // namespace
}  // namespace plumbline::reports
