#include "reports/folder.h"

#include <memory>
#include <utility>

#include "harness/bundle.h"
#include "harness/error.h"
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

void write_report(const std::filesystem::path& folder, const Summary& summary) {
  write_files(folder, {{"report.json", write_json(summary)},
                       {"junit.xml", write_junit(summary)},
                       {"report.md", write_markdown(summary)},
                       {"report.html", write_html(summary)}});
}

ReportFolder::ReportFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

void ReportFolder::begin(const harness::RunDescription& run, uint64_t planned_cases) {
  check_writable(folder_);
  summary_.begin(run, planned_cases);
}

void ReportFolder::on_case(const harness::CaseResult& result) {
  std::string bundle;
  if (result.evidence) {  // at once: the run may not reach its end
    try {
      bundle = "bundles/" + harness::bundle_name(summary_.run, result);
      harness::write_bundle(folder_ / bundle, summary_.run, result);
    } catch (const harness::InputError& e) {
      bundle.clear();
      if (bundle_problem_.empty()) bundle_problem_ = e.what();
    }
  }
  summary_.add(result, bundle);
}

void ReportFolder::on_section(const harness::Section& section) { summary_.add(section); }

void ReportFolder::end(const harness::RunSummary& summary) {
  summary_.finish(summary);
  if (!bundle_problem_.empty()) summary_.outcome.errors.push_back(bundle_problem_);
  write_report(folder_, summary_);
}

}  // namespace plumbline::reports
