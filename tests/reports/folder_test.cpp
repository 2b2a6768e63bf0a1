#include "reports/folder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>

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

const std::set<std::string> kFour = {"report.json", "junit.xml", "report.md", "report.html"};

TEST_F(ReportFolderTest, IsRegisteredAndLeavesFourFiles) {
  std::unique_ptr<harness::Listener> listener;
  for (const auto& writer : harness::report_writers()) {
    if (writer.name == "folder") listener = writer.make(folder_);
  }
  ASSERT_NE(listener, nullptr);
  listener->begin(samples::description(), 1);
  EXPECT_EQ(names(), kFour);
  listener->on_case(samples::passing(1));
  harness::RunSummary summary;
  summary.verdicts[0] = 1;
  listener->end(summary);
  EXPECT_EQ(names(), kFour);
  EXPECT_TRUE(read_report(folder_).green());
}

TEST_F(ReportFolderTest, SaysThatARunHasNotEndedUntilItHas) {
  ReportFolder report(folder_, std::chrono::milliseconds(0));
  report.begin(samples::description(), 3);
  Summary now = read_report(folder_);
  EXPECT_STREQ(now.state(), "truncated");
  EXPECT_EQ(now.headline(),
            "truncated: 0 of 3 cases judged; the run has not ended: it goes on, or it was killed or crashed");
  // As often as asked for, but for what the writing itself takes.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (read_report(folder_).cases.empty() && std::chrono::steady_clock::now() < patience)
    report.on_case(samples::passing(1));
  now = read_report(folder_);
  EXPECT_FALSE(now.green());
  EXPECT_GE(now.cases.size(), 1u);
  EXPECT_THAT(now.outcome.stopped, testing::HasSubstr("has not ended"));
  EXPECT_EQ(names(), kFour);
}

// What was green before says nothing of the run that began, whatever becomes of it.
TEST_F(ReportFolderTest, ARunThatBeginsRemovesTheOldVerdict) {
  const auto run = [&](bool ends) {
    ReportFolder report(folder_);
    report.begin(samples::description(), 1);
    EXPECT_FALSE(read_report(folder_).green());
    report.on_case(samples::passing(1));
    harness::RunSummary summary;
    summary.verdicts[0] = 1;
    if (ends) report.end(summary);
  };
  run(true);
  EXPECT_TRUE(read_report(folder_).green());
  fs::create_directories(folder_ / "bundles/fail-1");
  std::ofstream(folder_ / "notes.txt") << "somebody's own";
  run(false);
  EXPECT_EQ(names(), (std::set<std::string>{"notes.txt"}));
  run(true);
  std::set<std::string> five = kFour;
  five.insert("notes.txt");
  EXPECT_EQ(names(), five);
}

TEST_F(ReportFolderTest, TwoRunsDoNotShareAFolder) {
  ReportFolder first(folder_);
  first.begin(samples::description(), 1);
  ReportFolder second(folder_);
  try {
    second.begin(samples::description(), 1);
    ADD_FAILURE() << "two writers";
  } catch (const harness::InputError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("another run is writing into it"));
  }
  first.on_case(samples::passing(1));
  harness::RunSummary summary;
  summary.verdicts[0] = 1;
  first.end(summary);
  EXPECT_TRUE(read_report(folder_).green());
  ReportFolder third(folder_);
  third.begin(samples::description(), 1);
}

// One operation of the file system: a reader in between finds the old report or the new one, never parts of both.
TEST_F(ReportFolderTest, EveryFileOfAReportAppearsAtOnce) {
  HeldFolder held(folder_);
  held.publish({{"report.json", "1"}, {"report.html", "1"}});
  fs::create_directories(folder_ / "bundles");
  std::ofstream(folder_ / "bundles/evidence") << "bits";
  const fs::path open_before =
      fs::path("/proc/self/fd") / std::to_string(open(folder_.c_str(), O_RDONLY | O_DIRECTORY));
  held.publish({{"report.json", "2"}, {"report.html", "2"}, {"junit.xml", "2"}});
  EXPECT_EQ(names(), (std::set<std::string>{"report.json", "report.html", "junit.xml", "bundles"}));
  EXPECT_TRUE(fs::exists(folder_ / "bundles/evidence"));
  std::error_code error;
  EXPECT_FALSE(fs::exists(open_before / "junit.xml", error)) << "the old folder was filled, not replaced";
  EXPECT_THROW(HeldFolder{folder_}, harness::InputError) << "held, though it is another folder now";
}

TEST_F(ReportFolderTest, ADiskThatIsFullLeavesTheFilesAsTheyWere) {
  HeldFolder held(folder_);
  held.publish({{"report.json", "1"}, {"report.html", "1"}});
  EXPECT_THROW(held.publish({{"report.json", "2"}, {"no/such/folder", "2"}}), harness::InputError);
  EXPECT_EQ(names(), (std::set<std::string>{"report.json", "report.html"}));
  std::ifstream file(folder_ / "report.json");
  EXPECT_EQ(file.get(), '1');
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
