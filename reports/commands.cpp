// plumbline merge and plumbline compare.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>

#include "harness/command.h"
#include "harness/error.h"
#include "harness/study.h"
#include "reports/compare.h"
#include "reports/compare_html.h"
#include "reports/folder.h"
#include "reports/merge.h"
#include "reports/read.h"
#include "reports/text.h"

namespace plumbline::reports {
namespace {

namespace fs = std::filesystem;
using harness::InputError;

// A link that points to a bundle of a part has to point to one of the whole.
void copy_bundles(const std::vector<std::string>& from, const fs::path& to) {
  for (const std::string& part : from) {
    const fs::path bundles = report_file(part).parent_path() / "bundles";
    std::error_code error;
    if (!fs::is_directory(bundles, error)) continue;
    fs::create_directories(to / "bundles", error);
    for (const auto& bundle : fs::directory_iterator(bundles, error)) {
      if (bundle.path().filename().string().starts_with('.')) continue;
      fs::copy(bundle.path(), to / "bundles" / bundle.path().filename(),
               fs::copy_options::recursive | fs::copy_options::skip_existing, error);
      if (error) throw InputError(fmt::format("bundle '{}': {}", bundle.path().string(), error.message()));
    }
  }
}

int merge(const std::vector<std::string>& inputs, const std::string& folder) {
  std::vector<NamedSummary> parts;
  parts.reserve(inputs.size());
  for (const std::string& input : inputs) {
    std::error_code error;
    if (fs::equivalent(report_file(input).parent_path(), folder, error))
      throw InputError(fmt::format("'{}' is to be read and written: give another folder as --report", folder));
    parts.push_back({report_file(input).string(), read_report(input)});
  }
  const size_t count = parts.size();
  const Summary whole = merge_reports(std::move(parts));
  HeldFolder held(folder);
  copy_bundles(inputs, folder);
  held.publish(report_files(whole));
  fmt::print("{} reports: {}\nreport     {}/report.html\n{}\n", count, whole.headline(), folder, whole.state());
  return whole.green() ? 0 : 1;
}

struct CompareArguments {
  std::string a, b, report;
  CompareOptions options;
};

int compare_command(const CompareArguments& arguments) {
  const Pool a = read_pool(arguments.a), b = read_pool(arguments.b);
  const Comparison comparison = compare(a, b, arguments.options);
  if (!arguments.report.empty()) {
    check_writable(arguments.report);  // beside a report of the later run, if one is there
    write_files(arguments.report, {{"compare.html", write_compare_html(comparison)}});
  }
  fmt::print("{}", comparison_text(comparison));
  if (!arguments.report.empty()) fmt::print("report     {}/compare.html\n", arguments.report);
  fmt::print("{}\n", comparison.regressed() ? "regressed" : "no regression");
  return comparison.regressed() ? 1 : 0;
}

const harness::RegisterCommand merge_registered{
    {"merge", "join the reports of a sharded run, and of studies, into one", [](CLI::App& app) {
       auto inputs = std::make_shared<std::vector<std::string>>();
       auto folder = std::make_shared<std::string>(harness::default_report("merge"));
       app.add_option("reports", *inputs, "report.json files, or the folders that hold them")->required();
       app.add_option("--report", *folder, "folder for the joined report")->capture_default_str();
       return [inputs, folder](const std::string&) { return merge(*inputs, *folder); };
     }}};

const harness::RegisterCommand compare_registered{
    {"compare", "what changed between two reports: failures, headroom, speed, bits", [](CLI::App& app) {
       auto arguments = std::make_shared<CompareArguments>();
       app.add_option("before", arguments->a, "a report, or a folder of reports that differ in their seeds")
           ->required();
       app.add_option("after", arguments->b, "the same of the other commit, GPU or toolkit")->required();
       app.add_option("--report", arguments->report, "folder for compare.html (default: none is written)");
       app.add_option("--slower", arguments->options.slower,
                      "a time beyond this factor, in every run of three or more a side, is a regression")
           ->capture_default_str()
           ->check(CLI::Range(1.0, 1000.0));
       app.add_option("--level", arguments->options.level, "error level of all statistical tests together")
           ->capture_default_str()
           ->check(CLI::Range(1e-12, 0.5));
       app.add_flag("--same-bits", arguments->options.same_bits,
                    "changed bits are a regression also between commits (always within one)");
       app.add_flag("--ignore-speed", arguments->options.ignore_speed, "slower is reported, and no regression");
       return [arguments](const std::string&) { return compare_command(*arguments); };
     }}};

}  // namespace
}  // namespace plumbline::reports
