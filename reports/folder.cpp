#include "reports/folder.h"

#include <algorithm>
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

std::vector<File> report_files(const Summary& summary) {
  return {{"report.json", write_json(summary)},
          {"junit.xml", write_junit(summary)},
          {"report.md", write_markdown(summary)},
          {"report.html", write_html(summary)}};
}

ReportFolder::ReportFolder(std::filesystem::path folder, std::chrono::milliseconds every)
    : folder_(std::move(folder)), every_(every) {}

ReportFolder::~ReportFolder() {
  if (held_ && !ended_) held_->abandon();
}

void ReportFolder::begin(const harness::RunDescription& run, uint64_t planned_cases) {
  held_.emplace(folder_);
  start_ = std::chrono::steady_clock::now();
  summary_.begin(run, planned_cases);
  publish_unfinished();
}

void ReportFolder::publish_unfinished() {
  const auto begun = std::chrono::steady_clock::now();
  Summary now = summary_;
  harness::RunSummary unfinished = so_far_;
  unfinished.stopped = kUnfinished;
  unfinished.not_begun = summary_.planned - std::min(summary_.planned, so_far_.cases());
  unfinished.seconds = std::chrono::duration<double>(begun - start_).count();
  now.finish(unfinished);
  held_->publish(report_files(now));
  const auto after = std::chrono::steady_clock::now();
  next_ = after + std::max<std::chrono::steady_clock::duration>(every_, 50 * (after - begun));
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
  ++so_far_.verdicts[size_t(result.verdict)];
  if (std::chrono::steady_clock::now() >= next_) publish_unfinished();
}

void ReportFolder::on_section(const harness::Section& section) {
  summary_.add(section);
  if (std::chrono::steady_clock::now() >= next_) publish_unfinished();
}

void ReportFolder::end(const harness::RunSummary& summary) {
  summary_.finish(summary);
  if (!bundle_problem_.empty()) summary_.outcome.errors.push_back(bundle_problem_);
  held_->publish(report_files(summary_));
  ended_ = true;
  held_.reset();
}

}  // namespace plumbline::reports
