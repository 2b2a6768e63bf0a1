// What a person sees while a run goes on and when it ends. Plain text; nothing of the progress line in a pipe.
#pragma once
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/result.h"

namespace plumbline::harness {

// One line that is rewritten in place, on a terminal only: cases done, rate, remaining time, red verdicts so far.
class ProgressLine final : public Listener {
 public:
  explicit ProgressLine(std::FILE* stream);
  void begin(const RunDescription& run, uint64_t planned_cases) override;
  void on_case(const CaseResult& result) override;
  void end(const RunSummary& summary) override;

 private:
  std::FILE* stream_;
  bool terminal_;
  uint64_t planned_ = 0, done_ = 0, red_ = 0;
  std::chrono::steady_clock::time_point start_, last_;
};

// A summary of some ten lines; of a red run not more than 25.
class TerminalSummary final : public Listener {
 public:
  explicit TerminalSummary(std::string report_path) : report_path_(std::move(report_path)) {}
  void begin(const RunDescription& run, uint64_t planned_cases) override;
  void on_case(const CaseResult& result) override;
  void on_section(const Section& section) override;
  void end(const RunSummary& summary) override;
  const std::string& text() const { return text_; }
  bool green() const { return green_; }  // of the run, its studies included

 private:
  void describe_cases(const RunSummary& summary);
  struct Largest {
    double ratio = -1;
    uint64_t elements = 0;
  };
  std::string report_path_, text_;
  RunDescription run_;
  std::map<std::string, uint64_t> suites_;
  std::map<Quantity, std::array<Largest, kSizeClasses>> quantities_;
  struct Red {
    std::string verdict, line, reason;
  };
  std::vector<Red> red_;  // the first few
  struct Study {
    std::string title;
    bool green = true;
  };
  std::vector<Study> studies_;
  bool green_ = false;
  double element_steps_ = 0;
  CaseTimes times_;
};

// The quantities of one case as a table, for `plumbline case`.
std::string describe_case(const CaseResult& result);

}  // namespace plumbline::harness
