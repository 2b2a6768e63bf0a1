// A study: a command that brings tables and charts instead of cases, and reports them like any run.
#pragma once
#include <functional>
#include <string>

#include "harness/result.h"

namespace CLI {
class App;
}

namespace plumbline::harness {

// Where a command leaves its report unless told otherwise: "plumbline-report/NAME".
std::string default_report(const std::string& command);

struct StudyOptions {
  std::string report;  // folder; add_study_options sets the command's own
  bool quiet = false;  // no summary
  uint64_t seed = 1;
};

// --seed: a whole number from 0 on.
void add_seed(CLI::App& app, uint64_t& seed, const std::string& help);

// --report and --quiet.
void add_study_options(CLI::App& app, StudyOptions& options);

// Hands the listeners that report a run to `study`, which calls on_section (in the order in which they are to be shown)
// and, where it runs cases, on_case. `name` becomes the run's suite; `line` is the command line. What `study` throws
// passes through, and nothing is written then. Exit code: 0 when every section is green and no case is red, 1
// otherwise.
int report_study(const std::string& name, const std::string& subject, const std::string& line,
                 const StudyOptions& options, const std::function<void(Listener& report)>& study);

// What such a study came to, where not all of it may have run.
struct StudyEnd {
  std::string stopped;  // why something that was wanted did not run; empty: all of it ran. Set by the study
  bool green = false;   // nothing that ran is red; set by the report
};
// As above for a study that fills `end.stopped` before it returns; the report is not green then and says why.
void report_study(const std::string& name, const std::string& subject, const std::string& line,
                  const StudyOptions& options, StudyEnd& end, const std::function<void(Listener& report)>& study);

}  // namespace plumbline::harness
