#include "reports/read.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/error.h"
#include "harness/json_text.h"
#include "reports/section_json.h"

namespace plumbline::reports {
namespace {

using harness::Quantity;
using harness::Verdict;
using Json = nlohmann::ordered_json;

// Values of an enumeration by their names.
template <class Enum, int kCount>
Enum named(const Json& value, const char* what) {
  static const std::map<std::string, Enum, std::less<>> names = [] {
    std::map<std::string, Enum, std::less<>> out;
    for (int i = 0; i < kCount; ++i) out.emplace(to_string(static_cast<Enum>(i)), static_cast<Enum>(i));
    return out;
  }();
  const auto& text = value.get_ref<const std::string&>();
  const auto found = names.find(text);
  if (found == names.end()) throw std::invalid_argument(fmt::format("{} '{}' is not known", what, text));
  return found->second;
}

Verdict verdict_from(const Json& value) { return named<Verdict, harness::kVerdicts>(value, "verdict"); }
Quantity quantity_from(const Json& value) { return named<Quantity, harness::kQuantities>(value, "quantity"); }

uint64_t hex_from(const Json& value) {
  const auto& text = value.get_ref<const std::string&>();
  char* end = nullptr;
  const uint64_t bits = std::strtoull(text.c_str(), &end, 16);
  if (text.empty() || *end != '\0') throw std::invalid_argument(fmt::format("'{}' is not hexadecimal", text));
  return bits;
}

// A whole number that an int holds: the library would wrap a larger one.
int count_from(const Json& value, int64_t least, const char* what) {
  const auto number = value.get<double>();
  if (!(number >= double(least) && number <= double(std::numeric_limits<int>::max())) || !value.is_number_integer())
    throw std::invalid_argument(
        fmt::format("{} {}: expected {} to {}", what, value.dump(), least, std::numeric_limits<int>::max()));
  return value.get<int>();
}

harness::RunDescription run_from(const Json& value) {
  harness::RunDescription run;
  const auto text = [&](const char* name, std::string& to) { to = value.at(name).get<std::string>(); };
  text("version", run.version);
  text("commit", run.commit);
  text("date", run.date);
  text("command", run.command);
  text("subject", run.subject);
  text("suite", run.suite);
  text("cpu", run.cpu);
  text("os", run.os);
  text("compiler", run.compiler);
  text("flags", run.flags);
  text("build_type", run.build_type);
  text("gpu", run.gpu);
  text("gpu_driver", run.gpu_driver);
  text("cuda_toolkit", run.cuda_toolkit);
  text("gpu_architecture", run.gpu_architecture);
  run.seed = value.at("seed").get<uint64_t>();
  run.cores = count_from(value.at("cores"), 0, "cores");
  if (value.contains("shard")) {  // reports of the first version of the schema had none
    run.shard = count_from(value["shard"].at("index"), 0, "shard");
    run.shards = count_from(value["shard"].at("of"), 1, "number of shards");
    run.suite_cases = value.at("suite_cases").get<uint64_t>();
    run.suite_checksum = hex_from(value.at("suite_checksum"));
  }
  return run;
}

template <class Counts>
void counts_from(const Json& value, Counts& counts) {
  for (int v = 0; v < harness::kVerdicts; ++v)
    counts[size_t(v)] = value.at(to_string(static_cast<Verdict>(v))).template get<uint64_t>();
}

harness::CaseTimes times_from(const Json& value) {
  return {value.at("generate").get<double>(), value.at("reference").get<double>(), value.at("contract").get<double>(),
          value.at("subject").get<double>(), value.at("compare").get<double>()};
}

harness::WorstElement worst_from(const Json& value) {
  return {value.at("step").get<int64_t>(),   value.at("index").get<int64_t>(), number_from(value.at("got")),
          number_from(value.at("expected")), number_from(value.at("bound")),   number_from(value.at("ratio"))};
}

harness::RatioHistogram histogram_from(const Json& value, double largest) {
  harness::RatioHistogram out;
  for (const Json& entry : value) {
    const auto bucket = entry.at(0).get<size_t>();
    if (bucket >= out.count.size()) throw std::invalid_argument(fmt::format("histogram bucket {}", bucket));
    out.count[bucket] = entry.at(1).get<uint64_t>();
  }
  out.largest = largest;
  return out;
}

void quantity_into(const Json& value, Summary& s) {
  const auto quantity = size_t(quantity_from(value.at("quantity")));
  const auto size = size_t(named<harness::SizeClass, harness::kSizeClasses>(value.at("size"), "size"));
  QuantitySize& q = s.quantities[quantity][size];
  q.cases = value.at("cases").get<uint64_t>();
  q.outside = value.at("outside").get<uint64_t>();
  if (value.contains("unbounded")) q.unbounded = value["unbounded"].get<uint64_t>();
  if (value.contains("out_of_range")) q.out_of_range = value["out_of_range"].get<uint64_t>();
  q.worst = worst_from(value.at("worst"));
  q.worst_line = value.at("worst").at("line").get<std::string>();
  q.bounded = !value.at("exact").get<bool>();
  q.ratios = histogram_from(value.at("histogram"), number_from(value.at("max")));
  if (value.contains("case_histogram")) q.case_largest = histogram_from(value["case_histogram"], q.ratios.largest);
  if (q.ratios.total() != value.at("elements").get<uint64_t>())
    throw std::invalid_argument("a histogram does not add up to its elements");
}

CaseEntry entry_from(const Json& value) {
  CaseEntry c;
  for (const auto& [name, member] : value.items()) {  // in one pass: there are many
    if (name == "line")
      c.line = member.get<std::string>();
    else if (name == "suite")
      c.suite = member.get<std::string>();
    else if (name == "subject")
      c.subject = member.get<std::string>();
    else if (name == "verdict")
      c.verdict = verdict_from(member);
    else if (name == "reason")
      c.reason = member.get<std::string>();
    else if (name == "first_broken")
      c.first_broken = quantity_from(member);
    else if (name == "first_broken_step")
      c.first_broken_step = member.get<int64_t>();
    else if (name == "ratio")
      c.ratio = number_from(member);
    else if (name == "bits")
      c.bits = hex_from(member);
    else if (name == "elements")
      c.elements = member.get<int64_t>();
    else if (name == "steps")
      c.steps = member.get<int64_t>();
    else if (name == "seconds")
      c.seconds = member.get<double>();
    else if (name == "subject_seconds")
      c.subject_seconds = member.get<double>();
  }
  for (const char* wanted : {"line", "suite", "subject", "verdict"}) (void)value.at(wanted);
  return c;
}

harness::ElementWindow window_from(const Json& value) {
  harness::ElementWindow w{quantity_from(value.at("quantity")),
                           value.at("step").get<int64_t>(),
                           value.at("type").get<std::string>(),
                           value.at("index").get<std::vector<int64_t>>(),
                           numbers_from(value.at("got")),
                           numbers_from(value.at("expected")),
                           numbers_from(value.at("bound")),
                           numbers_from(value.at("ratio")),
                           {}};
  if (value.contains("block")) w.block = value["block"].get<std::vector<int64_t>>();
  const size_t n = w.index.size();
  if (w.got.size() != n || w.expected.size() != n || w.bound.size() != n || w.ratio.size() != n ||
      (!w.block.empty() && w.block.size() != n))
    throw std::invalid_argument("lists of a window differ in length");
  return w;
}

CaseDetail detail_from(const Json& value) {
  CaseDetail d;
  d.entry = entry_from(value);
  for (const Json& q : value.at("quantities"))
    d.quantities.push_back({quantity_from(q.at("quantity")), q.at("elements").get<uint64_t>(),
                            q.at("outside").get<uint64_t>(), number_from(q.at("max")), worst_from(q.at("worst"))});
  for (const Json& use : value.at("options"))
    d.options.push_back({use.at("value").get<std::string>(), use.at("acted").get<bool>()});
  d.times = times_from(value.at("times"));
  if (value.contains("window")) d.window = window_from(value["window"]);
  if (value.contains("bundle")) d.bundle = value["bundle"].get<std::string>();
  return d;
}

TrainingDrift drift_from(const Json& value) {
  TrainingDrift out{value.at("line"), value.at("suite"), value.at("subject"), {}};
  for (const Json& series : value.at("series")) {
    const Quantity quantity = quantity_from(series.at("quantity"));
    const Json& steps = series.at("step");
    for (size_t i = 0; i < steps.size(); ++i)
      out.points.push_back({steps.at(i).get<int64_t>(), quantity, number_from(series.at("drift").at(i)),
                            number_from(series.at("quantization").at(i)), number_from(series.at("bound").at(i))});
  }
  return out;
}

// What is counted agrees with what is listed, and what was planned with both.
void check_counts(const Summary& s) {
  if (s.all_cases() != s.outcome.cases())
    throw std::invalid_argument(fmt::format("{} cases are listed, {} were counted", s.cases.size(), s.outcome.cases()));
  std::array<uint64_t, harness::kVerdicts> listed{};
  for (const CaseEntry& c : s.cases) ++listed[size_t(c.verdict)];
  uint64_t further = 0, further_red = 0;
  for (int v = 0; v < harness::kVerdicts; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    const uint64_t counted = s.outcome.verdicts[size_t(v)];
    if (listed[size_t(v)] > counted)
      throw std::invalid_argument(fmt::format("{} cases of verdict {} are listed, {} were counted", listed[size_t(v)],
                                              to_string(verdict), counted));
    further += counted - listed[size_t(v)];
    if (is_red(verdict)) further_red += counted - listed[size_t(v)];
  }
  if (further != s.unlisted || further_red != s.unlisted_red)
    throw std::invalid_argument(
        fmt::format("{} further cases, {} of them red, were counted, and {}, {} said to be there", further, further_red,
                    s.unlisted, s.unlisted_red));
  // A run that broke off says so in its errors.
  if (s.outcome.cases() < s.planned && s.outcome.errors.empty() && s.outcome.stopped.empty())
    throw std::invalid_argument(
        fmt::format("{} of {} planned cases were judged, and nothing says why", s.outcome.cases(), s.planned));
}

void fill(const Json& value, Summary& s) {
  s.run = run_from(value.at("run"));
  const Json& outcome = value.at("outcome");
  s.planned = outcome.at("planned").get<uint64_t>();
  s.outcome.seconds = outcome.at("seconds").get<double>();
  counts_from(outcome.at("verdicts"), s.outcome.verdicts);
  if (outcome.contains("redrawn")) s.outcome.redrawn = outcome["redrawn"].get<uint64_t>();
  s.outcome.errors = outcome.at("errors").get<std::vector<std::string>>();
  if (outcome.contains("stopped")) {  // since 0.2.0
    s.outcome.stopped = outcome["stopped"].get<std::string>();
    s.outcome.not_begun = outcome.at("not_begun").get<uint64_t>();
    s.outcome.part_accepted = outcome.at("part_accepted").get<bool>();
  }
  s.times = times_from(value.at("times"));
  for (const Json& quantity : value.at("quantities")) quantity_into(quantity, s);
  for (const Json& option : value.at("options")) {
    OptionCount& count = s.options[option.at("value").get<std::string>()];
    counts_from(option.at("cases"), count.cases);
    counts_from(option.at("acted"), count.acted);
  }
  for (const Json& detail : value.at("worst")) s.worst.add(detail_from(detail));
  for (const Json& detail : value.at("red")) s.red.add(detail_from(detail));
  for (const Json& drift : value.at("drift")) s.drift.push_back(drift_from(drift));
  if (value.contains("sections"))
    for (const Json& section : value["sections"]) s.sections.push_back(section_from(section));
  s.cases.reserve(value.at("cases").size());
  for (const Json& c : value["cases"]) s.cases.push_back(entry_from(c));
  if (outcome.contains("unlisted")) {
    s.unlisted = outcome["unlisted"].get<uint64_t>();
    s.unlisted_red = outcome.at("unlisted_red").get<uint64_t>();
  }
  check_counts(s);
}

}  // namespace

std::filesystem::path report_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path / "report.json" : path;
}

Summary parse_report(std::string_view text, const std::string& name) {
  Json value;
  try {
    value = harness::parse_json<Json>(text, name, true);
  } catch (const Json::parse_error& e) {
    throw harness::InputError(
        e.byte > text.size() ? fmt::format("{}: cut off after {} bytes: expected a whole report", name, text.size())
                             : fmt::format("{}: not JSON at byte {}: expected a report", name, e.byte));
  }
  if (!value.is_object() || !value.contains("schema") || !value["schema"].is_string())
    throw harness::InputError(fmt::format("{}: no 'schema': expected a report of '{}'", name, kReportSchema));
  if (value["schema"] != kReportSchema)
    throw harness::InputError(
        fmt::format("{}: schema '{}': expected '{}'", name, value["schema"].get<std::string>(), kReportSchema));
  Summary out;
  try {
    fill(value, out);
  } catch (const std::exception& e) {  // the JSON library's, invalid_argument
    std::string what = e.what();
    if (const size_t end = what.find("] "); what.starts_with("[json") && end != what.npos) what.erase(0, end + 2);
    throw harness::InputError(fmt::format("{}: {}: expected a report of '{}'", name, what, kReportSchema));
  }
  return out;
}

Summary read_report(const std::filesystem::path& path) {
  const auto file = report_file(path);
  std::ifstream in(file, std::ios::binary);
  std::string text;
  if (in) {
    in.seekg(0, std::ios::end);
    const auto size = in.tellg();
    in.seekg(0);
    if (size > 0) text.resize(size_t(size));
    in.read(text.data(), std::streamsize(text.size()));
  }
  if (!in) throw harness::InputError(fmt::format("{}: cannot be read: expected a report.json", file.string()));
  return parse_report(text, file.string());
}

}  // namespace plumbline::reports
