#include "harness/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

namespace fs = std::filesystem;

class StudyTest : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("plumbline-study-") + testing::UnitTest::GetInstance()->current_test_info()->name());
  void SetUp() override { fs::remove_all(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  int run(bool green) const {
    return report_study("codecs", "host", "plumbline codecs", {folder_.string(), true, 7}, [&](Listener& report) {
      for (const char* id : {"first", "second"}) {
        Section section;
        section.id = id;
        section.title = id;
        section.green = green || section.id == "first";
        report.on_section(section);
      }
    });
  }
  nlohmann::json report() const { return nlohmann::json::parse(std::ifstream(folder_ / "report.json")); }
};

TEST_F(StudyTest, ReportsItsSectionsInTheirOrderAndIsGreen) {
  EXPECT_EQ(run(true), 0);
  EXPECT_EQ(report()["sections"].size(), 2u);
  EXPECT_EQ(report()["sections"][1]["id"], "second");
  EXPECT_EQ(report()["outcome"]["green"], true);
  EXPECT_EQ(report()["run"]["suite"], "codecs");
  EXPECT_EQ(report()["run"]["seed"], 7);
}

TEST_F(StudyTest, IsRedWhereOneSectionIs) {
  EXPECT_EQ(run(false), 1);
  EXPECT_EQ(report()["outcome"]["green"], false);
}

TEST_F(StudyTest, WithoutSectionsHasShownNothing) {
  EXPECT_EQ(report_study("codecs", "host", "", {folder_.string(), true, 1}, [](Listener&) {}), 1);
}

TEST_F(StudyTest, LeavesNothingWhereItFails) {
  EXPECT_THROW(report_study("codecs", "host", "", {folder_.string(), true, 1},
                            [](Listener&) { throw InputError("no such codec"); }),
               InputError);
  EXPECT_FALSE(fs::exists(folder_ / "report.json"));
}

}  // namespace
}  // namespace plumbline::harness
