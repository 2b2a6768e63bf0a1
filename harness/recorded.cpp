#include "harness/recorded.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>
#include <stdexcept>

#include "harness/error.h"
#include "harness/judge_steps.h"
#include "harness/peer.h"
#include "harness/recorded_steps.h"
#include "harness/subject.h"

namespace plumbline::harness {
namespace {

// A line has one word for each value.
std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f || c == '%')
      out += fmt::format("%{:02X}", byte);
    else
      out += c;
  }
  return out;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%') {
      const std::string_view digits = text.substr(i + 1, 2);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
      if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2)
        throw InputError(fmt::format("'{}': expected two hexadecimal digits after %", text));
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

class Recording final : public Subject {
 public:
  std::string name() const override { return "recorded"; }
  std::string cannot_run(const Problem&) const override { return "a recording holds its own run only"; }
  std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override {
    throw std::logic_error("a recording takes no steps");
  }
};

}  // namespace

std::string to_string(const RecordedRun& run) {
  std::string line = fmt::format("recorded trace={}", escape(run.trace));
  if (!run.tensor.empty()) line += fmt::format(" tensor={}", escape(run.tensor));
  if (run.arithmetic) line += fmt::format(" arithmetic={}", to_string(*run.arithmetic));
  if (run.flushed) line += " subnormals=flushed";
  return line;
}

RecordedRun parse_recorded_run(std::string_view line) {
  RecordedRun run;
  std::vector<std::string> seen;
  std::istringstream words{std::string(line)};
  std::string word;
  words >> word;  // the family
  while (words >> word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::string value = equals == word.npos ? "" : unescape(std::string_view(word).substr(equals + 1));
    if (value.empty()) throw InputError(fmt::format("'{}': expected name=value", word));
    for (const std::string& other : seen)
      if (other == name) throw InputError(fmt::format("'{}' is given twice", name));
    seen.push_back(name);
    if (name == "trace") {
      run.trace = value;
    } else if (name == "tensor") {
      run.tensor = value;
    } else if (name == "arithmetic") {
      run.arithmetic = parse_dtype(value);
    } else if (name == "subnormals") {
      if (value != "kept" && value != "flushed")
        throw InputError(fmt::format("subnormals={}: expected kept or flushed", value));
      run.flushed = value == "flushed";
    } else {
      throw InputError(fmt::format("unknown option '{}': expected one of trace, tensor, arithmetic, subnormals", name));
    }
  }
  if (run.trace.empty()) throw InputError("recorded: expected trace=FILE tensor=NAME");
  return run;
}

void validate(const RecordedRun&) {}

CaseResult run_case(const RecordedRun& run, const Subject&, const CaseOptions& options) {
  const auto trace = Trace::shared(run.trace);
  dialect_of(trace->peer(), trace->file(), trace->release(), trace->defects());
  return judge_recorded(*trace, run, options);
}

CaseResult judge_recorded(const Trace& trace, const RecordedRun& run, const CaseOptions& options) {
  CaseResult result;
  if (trace.tensor(run.tensor).empty()) {
    result.suite = options.suite;
    result.verdict = Verdict::skipped;
    result.reason = "no element";
  } else {
    Assumptions assumed = trace.header().assumptions();
    if (run.arithmetic) assumed.results = run.arithmetic;
    assumed.flushed |= run.flushed;
    RecordedSteps steps(trace, run.tensor);
    result = judge_steps(steps, assumed, options);
  }
  result.recording = run.trace;
  result.line = to_string(run);
  result.subject = "recorded";
  return result;
}

std::unique_ptr<Subject> make_recording() { return std::make_unique<Recording>(); }

}  // namespace plumbline::harness
