// Properties as a part of `plumbline verify`, and the command that runs them alone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "harness/command.h"
#include "harness/study.h"
#include "properties/property.h"

namespace plumbline::properties {
namespace {

std::vector<PropertyResult> check_all(const std::vector<std::string>& names, const harness::Subject& subject,
                                      uint64_t seed, double share) {
  std::vector<PropertyResult> results;
  for (const Property& property : all_properties()) {
    if (!names.empty() && std::find(names.begin(), names.end(), property.name) == names.end()) continue;
    results.push_back(check_property(property, subject, seed, std::max(1, int(property.quick_cases * share))));
  }
  return results;
}

const harness::RegisterSuiteStudy kStudy({"properties", "optimizer",
                                          [](const harness::SuiteRequest& request, const harness::Subject& subject) {
                                            using harness::SuiteSize;
                                            const double share = (request.size == SuiteSize::quick  ? 1
                                                                  : request.size == SuiteSize::full ? 10
                                                                                                    : 100) *
                                                                 (request.subject == "emulator" ? 0.2 : 1);
                                            return describe_properties(check_all({}, subject, request.seed, share));
                                          }});

struct Options {
  harness::StudyOptions study;
  std::string subject = "host";
  std::vector<std::string> names;
  int cases = 0;
};

int run(const Options& o, const std::string& line) {
  for (const std::string& name : o.names) find_property(name);
  const auto subject = harness::make_subject(o.subject);
  return harness::report_study("properties", subject->name(), line, o.study, [&](harness::Listener& report) {
    std::vector<PropertyResult> results;
    for (const Property& property : all_properties()) {
      if (!o.names.empty() && std::find(o.names.begin(), o.names.end(), property.name) == o.names.end()) continue;
      results.push_back(check_property(property, *subject, o.study.seed, o.cases > 0 ? o.cases : property.quick_cases));
      const PropertyResult& r = results.back();
      if (o.study.quiet) continue;
      fmt::print("{:20} {:8} {:6} cases {:8.1f} ms  {}\n", r.name, to_string(r.outcome), r.cases, 1e3 * r.seconds,
                 property.states);
      if (r.outcome != PropertyResult::Outcome::held) fmt::print("{}\n", r.counterexample);
    }
    report.on_section(describe_properties(results));
  });
}

const harness::RegisterCommand kCommand(
    {"properties", "check what holds for every problem of a kind, on problems drawn at random", [](CLI::App& app) {
       const auto o = std::make_shared<Options>();
       app.add_option("names", o->names, "properties to check (default: all)");
       app.add_option("--subject", o->subject, "host, emulator or cuda")->capture_default_str();
       app.add_option("--cases", o->cases, "problems per property (0: as many as a quick suite)")
           ->capture_default_str()
           ->check(CLI::NonNegativeNumber);
       harness::add_seed(app, o->study.seed, "of the draws");
       harness::add_study_options(app, o->study);
       return [o](const std::string& line) { return run(*o, line); };
     }});

}  // namespace
}  // namespace plumbline::properties
