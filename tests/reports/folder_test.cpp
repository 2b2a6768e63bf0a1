#include "reports/folder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <set>

#include "harness/error.h"
#include "harness/registry.h"
#include "reports/read.h"
#include "reports/summary.h"
#include "tests/reports/samples.h"

namespace plumbline::reports {
namespace {

namespace fs = std::filesystem;

class ReportFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("plumbline-report-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_)) out.insert(entry.path().filename().string());
    return out;
  }

  fs::path folder_;
};

TEST_F(ReportFolderTest, IsRegisteredAndLeavesFourFilesAtTheEnd) {
  std::unique_ptr<harness::Listener> listener;
  for (const auto& writer : harness::report_writers()) {
    if (writer.name == "folder") listener = writer.make(folder_);
  }
  ASSERT_NE(listener, nullptr);
  listener->begin(samples::description(), 1);
  EXPECT_TRUE(names().empty());
  listener->on_case(samples::passing(1));
  EXPECT_TRUE(names().empty());
  harness::RunSummary summary;
  summary.verdicts[0] = 1;
  listener->end(summary);
  EXPECT_EQ(names(), (std::set<std::string>{"report.json", "junit.xml", "report.md", "report.html"}));
}

TEST_F(ReportFolderTest, AFolderThatCannotBeWrittenIsRefusedBeforeTheFirstCase) {
  ReportFolder report("/proc/plumbline");
  EXPECT_THROW(report.begin(samples::description(), 1), harness::InputError);
}

TEST_F(ReportFolderTest, TakesAHundredThousandCases) {
  constexpr uint64_t kCases = 100000;
  constexpr uint64_t kRed = 3;  // the last ones: beyond what is listed of the passing
  std::vector<harness::CaseResult> results;
  for (uint64_t seed = 0; seed < 200; ++seed) results.push_back(samples::passing(seed));
  harness::RunSummary summary;
  summary.verdicts[size_t(harness::Verdict::pass)] = kCases - kRed;
  summary.verdicts[size_t(harness::Verdict::fail)] = kRed;

  const auto start = std::chrono::steady_clock::now();
  ReportFolder report(folder_);
  report.begin(samples::description(), kCases);
  for (uint64_t i = 0; i < kCases - kRed; ++i) {
    auto& result = results[i % results.size()];
    result.line = fmt::format("adafactor shape=37x129 type=float32 storage=al8 block=128 clip=1 steps=5 seed={}", i);
    report.on_case(result);
  }
  for (uint64_t i = 0; i < kRed; ++i) report.on_case(samples::failing(fmt::format("shape=3x5 seed={}", i)));
  report.end(summary);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

  fmt::print("{} cases reported in {:.2f} s, report.json {:.1f} MB\n", kCases, seconds.count(),
             static_cast<double>(fs::file_size(folder_ / "report.json")) * 1e-6);
  const Summary read = read_report(folder_);
  EXPECT_EQ(read.cases.size(), Summary::kListed + kRed);
  EXPECT_EQ(read.unlisted, kCases - kRed - Summary::kListed);
  EXPECT_EQ(read.unlisted_red, 0u);
  EXPECT_EQ(read.red_cases(), kRed);
  EXPECT_EQ(read.outcome.verdicts, summary.verdicts);
  std::ifstream junit(folder_ / "junit.xml");
  const std::string text{std::istreambuf_iterator<char>(junit), {}};
  EXPECT_THAT(text,
              testing::HasSubstr(fmt::format(R"(<testsuites name="plumbline" tests="{}" failures="{}" errors="0")",
                                             Summary::kListed + kRed, kRed)));
  EXPECT_THAT(text,
              testing::HasSubstr(fmt::format(R"(name="unlisted cases" value="{}")", kCases - kRed - Summary::kListed)));
  EXPECT_LT(fs::file_size(folder_ / "report.html"), 2000000u);
}

// `PLUMBLINE_SAMPLE_REPORT=folder report_tests --gtest_filter=*Sample*` leaves a report to look at.
TEST_F(ReportFolderTest, SampleOfEveryFeature) {
  const char* wanted = std::getenv("PLUMBLINE_SAMPLE_REPORT");
  const fs::path folder = wanted != nullptr ? fs::path(wanted) : folder_;
  ReportFolder report(folder);
  report.begin(samples::description(), 48);
  harness::RunSummary summary;
  summary.seconds = 12.5;
  for (const auto& result : samples::mixed()) {
    report.on_case(result);
    ++summary.verdicts[static_cast<size_t>(result.verdict)];
  }
  report.on_section(samples::study());
  summary.errors = {"trace 'tests/data/traces/x.safetensors': truncated at byte 1024, expected 4096"};
  report.end(summary);
  EXPECT_TRUE(fs::exists(folder / "report.html"));
}

}  // namespace
}  // namespace plumbline::reports
