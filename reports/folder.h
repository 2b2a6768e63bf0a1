// One run's report: report.json, junit.xml, report.md and report.html in a folder, written together at the end, and
// bundles/ of failing cases.
#pragma once
#include <filesystem>

#include "harness/result.h"
#include "reports/summary.h"

namespace plumbline::reports {

// All four files, whole or not at all. Throws harness::InputError.
void write_report(const std::filesystem::path& folder, const Summary& summary);

// Bundles of failing cases are written as the cases come.
class ReportFolder final : public harness::Listener {
 public:
  explicit ReportFolder(std::filesystem::path folder);
  // Throws harness::InputError where the folder cannot be written; nothing is left in it before end().
  void begin(const harness::RunDescription& run, uint64_t planned_cases) override;
  void on_case(const harness::CaseResult& result) override;
  void on_section(const harness::Section& section) override;
  void end(const harness::RunSummary& summary) override;

 private:
  std::filesystem::path folder_;
  Summary summary_;
  std::string bundle_problem_;  // the first
};

}  // namespace plumbline::reports
