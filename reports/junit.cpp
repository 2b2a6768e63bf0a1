#include "reports/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "reports/text.h"

namespace plumbline::reports {
namespace {

using harness::Verdict;

struct Totals {
  uint64_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double seconds = 0;

  void add(const CaseEntry& c) {
    ++tests;
    failures += c.verdict == Verdict::fail || c.verdict == Verdict::vacuous ? 1 : 0;
    errors += c.verdict == Verdict::error ? 1 : 0;
    skipped += c.verdict == Verdict::skipped ? 1 : 0;
    seconds += c.seconds;
  }
  std::string attributes() const {
    return fmt::format(R"(tests="{}" failures="{}" errors="{}" skipped="{}" time="{:.6f}")", tests, failures, errors,
                       skipped, seconds);
  }
};

std::string message(const CaseEntry& c) {
  std::string out = c.reason;
  if (c.first_broken) {
    out += fmt::format("{}first outside its bound: {}", out.empty() ? "" : "; ", to_string(*c.first_broken));
    if (c.first_broken_step) out += fmt::format(" at step {}", *c.first_broken_step);
  }
  return out;
}

void append_case(std::string& out, const CaseEntry& c) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, R"(  <testcase classname="{}.{}" name="{}" time="{:.6f}")", escape_markup(c.suite),
                 escape_markup(c.subject), escape_markup(c.line), c.seconds);
  const std::string said = escape_markup(message(c));
  const std::string command = escape_markup(case_command(c.line));
  switch (c.verdict) {
    case Verdict::pass:
      out += "/>\n";
      return;
    case Verdict::marginal:
      fmt::format_to(to, "><system-out>marginal: {}</system-out></testcase>\n", said);
      return;
    case Verdict::skipped:
      fmt::format_to(to, "><skipped message=\"{}\"/></testcase>\n", said);
      return;
    case Verdict::error:
      fmt::format_to(to, "><error type=\"error\" message=\"{}\">{}</error></testcase>\n", said, command);
      return;
    case Verdict::vacuous:
    case Verdict::fail:
      fmt::format_to(to, "><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n", to_string(c.verdict), said,
                     command);
      return;
  }
}

}  // namespace

std::string write_junit(const Summary& s) {
  Totals all;
  for (const CaseEntry& c : s.cases) all.add(c);
  const auto red_studies = uint64_t(
      std::count_if(s.sections.begin(), s.sections.end(), [](const harness::Section& study) { return !study.green; }));
  std::vector<std::string> problems = s.outcome.errors;
  if (!s.outcome.stopped.empty() && !s.outcome.part_accepted) problems.push_back(s.headline());
  all.errors += problems.size();
  all.failures += red_studies;
  all.tests += problems.size() + s.sections.size();

  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  auto to = std::back_inserter(out);
  fmt::format_to(to, "<testsuites name=\"plumbline\" {}>\n", all.attributes());
  // Without the zone, as the common schema wants it: dates are UTC.
  const std::string timestamp = s.run.date.substr(0, s.run.date.find('Z'));
  std::string properties = "  <properties>\n";
  for (const auto& [name, value] : {std::pair<const char*, const std::string&>{"subject", s.run.subject},
                                    {"commit", s.run.commit},
                                    {"machine", s.run.gpu.empty() ? s.run.cpu : s.run.gpu},
                                    {"command", s.run.command}})
    properties += fmt::format("   <property name=\"{}\" value=\"{}\"/>\n", name, escape_markup(value));
  if (s.unlisted > 0) properties += fmt::format("   <property name=\"unlisted cases\" value=\"{}\"/>\n", s.unlisted);
  properties += "  </properties>\n";
  // Cases are sorted by suite.
  for (auto first = s.cases.begin(); first != s.cases.end();) {
    auto last = first;
    Totals suite;
    for (; last != s.cases.end() && last->suite == first->suite; ++last) suite.add(*last);
    fmt::format_to(to, " <testsuite name=\"{}\" {} timestamp=\"{}\">\n", escape_markup(first->suite),
                   suite.attributes(), escape_markup(timestamp));
    out += properties;
    for (; first != last; ++first) append_case(out, *first);
    out += " </testsuite>\n";
  }
  if (!s.sections.empty()) {
    fmt::format_to(to, R"( <testsuite name="studies" tests="{}" failures="{}" errors="0" skipped="0">)",
                   s.sections.size(), red_studies);
    out += '\n';
    for (const harness::Section& study : s.sections) {
      fmt::format_to(to, R"(  <testcase classname="studies" name="{}")", escape_markup(study.id));
      if (study.green)
        out += "/>\n";
      else
        fmt::format_to(to, "><failure type=\"study\" message=\"{}: red\"/></testcase>\n", escape_markup(study.title));
    }
    out += " </testsuite>\n";
  }
  if (!problems.empty()) {
    const auto errors = problems.size();
    fmt::format_to(to, R"( <testsuite name="run" tests="{}" failures="0" errors="{}" skipped="0">)", errors, errors);
    out += '\n';
    for (const auto& error : problems) {
      fmt::format_to(to, R"(  <testcase classname="run" name="{0}"><error type="run" message="{0}"/></testcase>)",
                     escape_markup(error));
      out += '\n';
    }
    out += " </testsuite>\n";
  }
  out += "</testsuites>\n";
  return out;
}

}  // namespace plumbline::reports
