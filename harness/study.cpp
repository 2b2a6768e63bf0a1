#include "harness/study.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "harness/machine.h"
#include "harness/registry.h"
#include "harness/terminal.h"

namespace plumbline::harness {
namespace {

// Passes every call on to several.
class Fan final : public Listener {
 public:
  explicit Fan(std::vector<std::unique_ptr<Listener>> to) : to_(std::move(to)) {}
  void begin(const RunDescription& run, uint64_t planned) override {
    for (const auto& one : to_) one->begin(run, planned);
  }
  void on_case(const CaseResult& result) override {
    ++summary_.verdicts[size_t(result.verdict)];
    for (const auto& one : to_) one->on_case(result);
  }
  void on_section(const Section& section) override {
    green_ = green_ && section.green;
    ++sections_;
    for (const auto& one : to_) one->on_section(section);
  }
  void end(const RunSummary& summary) override {
    for (const auto& one : to_) one->end(summary);
  }
  // Ends the report.
  void end(double seconds, const std::string& stopped) {
    summary_.seconds = seconds;
    summary_.stopped = stopped;
    end(summary_);
  }
  bool green() const {
    RunSummary whole = summary_;  // what did not run is not red
    whole.stopped.clear();
    const bool cases_green = summary_.cases() == 0 || whole.green();
    return green_ && cases_green && (sections_ > 0 || summary_.cases() > 0);
  }

 private:
  std::vector<std::unique_ptr<Listener>> to_;
  RunSummary summary_;
  bool green_ = true;
  int sections_ = 0;
};

}  // namespace

void add_seed(CLI::App& app, uint64_t& seed, const std::string& help) {
  // CLI11 would read -1 as 2^64 - 1.
  app.add_option("--seed", seed, help)
      ->capture_default_str()
      ->check(CLI::Validator(
          [](std::string& text) {
            return text.find_first_not_of("0123456789") == text.npos ? std::string()
                                                                     : "'" + text + "': expected a number from 0 on";
          },
          "WHOLE"));
}

std::string default_report(const std::string& command) { return "plumbline-report/" + command; }

void add_study_options(CLI::App& app, StudyOptions& options) {
  options.report = default_report(app.get_name());
  app.add_option("--report", options.report, "folder for the reports")->capture_default_str();
  app.add_flag("--quiet", options.quiet, "no summary");
}

int report_study(const std::string& name, const std::string& subject, const std::string& line,
                 const StudyOptions& options, const std::function<void(Listener& report)>& study) {
  StudyEnd end;
  report_study(name, subject, line, options, end, study);
  return end.green ? 0 : 1;
}

void report_study(const std::string& name, const std::string& subject, const std::string& line,
                  const StudyOptions& options, StudyEnd& end, const std::function<void(Listener& report)>& study) {
  const auto start = std::chrono::steady_clock::now();
  RunDescription run = describe_machine(subject);
  run.command = line;
  run.subject = subject;
  run.suite = name;
  run.seed = options.seed;
  std::vector<std::unique_ptr<Listener>> to;
  for (const ReportWriter& writer : report_writers()) to.push_back(writer.make(options.report));
  auto terminal = std::make_unique<TerminalSummary>(options.report + "/report.html", wants_colour(stdout));
  const TerminalSummary& text = *terminal;
  to.push_back(std::move(terminal));
  Fan fan(std::move(to));
  fan.begin(run, 0);
  study(fan);
  fan.end(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), end.stopped);
  if (!options.quiet) fmt::print("{}", text.text());
  end.green = fan.green();
}

}  // namespace plumbline::harness
