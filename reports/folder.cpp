#include "reports/folder.h"

#include <memory>
#include <utility>

#include "harness/registry.h"
#include "reports/html.h"
#include "reports/json.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

const harness::RegisterReportWriter registered{
    {"folder", [](const std::filesystem::path& folder) { return std::make_unique<ReportFolder>(folder); }}};

}  // namespace

ReportFolder::ReportFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

void ReportFolder::begin(const harness::RunDescription& run, uint64_t planned_cases) {
  check_writable(folder_);
  summary_.begin(run, planned_cases);
}

void ReportFolder::on_case(const harness::CaseResult& result) { summary_.add(result); }

void ReportFolder::on_section(const harness::Section& section) { summary_.add(section); }

void ReportFolder::end(const harness::RunSummary& summary) {
  summary_.finish(summary);
  write_files(folder_, {{"report.json", write_json(summary_)},
                        {"junit.xml", write_junit(summary_)},
                        {"report.md", write_markdown(summary_)},
                        {"report.html", write_html(summary_)}});
}

}  // namespace plumbline::reports
