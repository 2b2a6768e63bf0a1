// One run's report: report.json, junit.xml, report.md and report.html in a folder, which appear together, and bundles/
// of failing cases. From its beginning until the run has ended they say that it has not.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>

#include "harness/result.h"
#include "reports/held_folder.h"
#include "reports/summary.h"

namespace plumbline::reports {

// The four files of a report.
std::vector<File> report_files(const Summary& summary);

// Removes an older report first. Bundles of failing cases are written as the cases come; every minute, or when a
// fiftieth of the time can be spent on it, the report of what has ended by then, which says that the run has not: it is
// what a crash or a lost machine leaves. A run that throws leaves nothing.
class ReportFolder final : public harness::Listener {
 public:
  explicit ReportFolder(std::filesystem::path folder, std::chrono::milliseconds every = std::chrono::minutes(1));
  ~ReportFolder() override;
  // Throws harness::InputError where the folder cannot be written, or another run writes into it.
  void begin(const harness::RunDescription& run, uint64_t planned_cases) override;
  void on_case(const harness::CaseResult& result) override;
  void on_section(const harness::Section& section) override;
  void end(const harness::RunSummary& summary) override;

 private:
  void publish_unfinished();
  std::filesystem::path folder_;
  std::chrono::milliseconds every_;
  std::optional<HeldFolder> held_;
  bool ended_ = false;
  std::chrono::steady_clock::time_point start_, next_;
  Summary summary_;
  harness::RunSummary so_far_;
  std::string bundle_problem_;  // the first
};

}  // namespace plumbline::reports
