// What a person sees while a run goes on and when it ends. Colours and rewritten lines on a terminal only.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness/result.h"

namespace plumbline::harness {

// Whether text on this stream may be coloured: a terminal that is not "dumb", and NO_COLOR is not set (no-color.org).
bool wants_colour(std::FILE* stream);

// Cases done, rate, remaining time, red verdicts so far: on a terminal one line that is rewritten in place, in a pipe a
// plain line every `every`, also when no case has ended meanwhile and while studies go on.
class ProgressLine final : public Listener {
 public:
  explicit ProgressLine(std::FILE* stream, std::chrono::milliseconds every = std::chrono::seconds(10));
  void begin(const RunDescription& run, uint64_t planned_cases) override;
  void on_case(const CaseResult& result) override;
  void on_section(const Section& section) override;
  void end(const RunSummary& summary) override;
  ~ProgressLine() override;

 private:
  void tell();   // where it is time to, with the mutex held
  void watch();  // tells when it is time to, until it is stopped
  void stop();
  std::FILE* stream_;
  bool terminal_;
  std::chrono::milliseconds every_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;
  std::thread watcher_;
  uint64_t planned_ = 0, done_ = 0, red_ = 0;
  std::string study_;  // the last that ended
  std::chrono::steady_clock::time_point start_, last_;
};

// A summary of some ten lines; of a red run not more than 25.
class TerminalSummary final : public Listener {
 public:
  explicit TerminalSummary(std::string report_path, bool colour = false)
      : report_path_(std::move(report_path)), colour_(colour) {}
  void begin(const RunDescription& run, uint64_t planned_cases) override;
  void on_case(const CaseResult& result) override;
  void on_section(const Section& section) override;
  void end(const RunSummary& summary) override;
  const std::string& text() const { return text_; }
  bool green() const { return green_; }  // of the run, its studies included
  // Options that some recording sets and none of its tensors proves, each with its file.
  std::vector<std::string> unproved() const;

 private:
  void describe_cases(const RunSummary& summary);
  struct Largest {
    double ratio = -1;
    uint64_t elements = 0, cases = 0, unbounded = 0, out_of_range = 0;
  };
  enum class Ink : uint8_t { plain, good, warn, bad };
  std::string paint(Ink ink, const std::string& text) const;
  static Ink ink_of(Verdict verdict);
  std::string report_path_, text_;
  bool colour_;
  RunDescription run_;
  std::map<std::string, uint64_t> suites_;
  std::map<Quantity, std::array<Largest, kSizeClasses>> quantities_;
  struct Red {
    Verdict verdict;
    std::string line, reason, bundle;
  };
  std::vector<Red> red_;  // the first few
  struct Study {
    std::string title;
    bool green = true;
  };
  std::vector<Study> studies_;
  std::map<std::pair<std::string, std::string>, bool> proved_;  // by recording and option
  bool green_ = false;
  double element_steps_ = 0;
  CaseTimes times_;
};

// The quantities of one case as a table, for `plumbline case`.
std::string describe_case(const CaseResult& result);

}  // namespace plumbline::harness
