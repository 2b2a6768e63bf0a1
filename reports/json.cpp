#include "reports/json.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>

#include "reports/drift.h"
#include "reports/read.h"
#include "reports/section_json.h"

namespace plumbline::reports {
namespace {

using nlohmann::ordered_json;

const auto number = number_json;

std::string hex(uint64_t bits) { return fmt::format("{:016x}", bits); }

ordered_json run_json(const harness::RunDescription& run) {
  return {{"version", run.version},
          {"commit", run.commit},
          {"date", run.date},
          {"command", run.command},
          {"subject", run.subject},
          {"suite", run.suite},
          {"seed", run.seed},
          {"shard", {{"index", run.shard}, {"of", run.shards}}},
          {"suite_cases", run.suite_cases},
          {"suite_checksum", hex(run.suite_checksum)},
          {"cpu", run.cpu},
          {"cores", run.cores},
          {"os", run.os},
          {"compiler", run.compiler},
          {"flags", run.flags},
          {"build_type", run.build_type},
          {"gpu", run.gpu},
          {"gpu_driver", run.gpu_driver},
          {"cuda_toolkit", run.cuda_toolkit},
          {"gpu_architecture", run.gpu_architecture}};
}

template <class Counts>
ordered_json by_verdict(const Counts& counts) {
  ordered_json out = ordered_json::object();
  for (int v = 0; v < harness::kVerdicts; ++v) out[to_string(static_cast<harness::Verdict>(v))] = counts[v];
  return out;
}

ordered_json outcome_json(const Summary& s) {
  return {{"green", s.green()},
          {"planned", s.planned},
          {"cases", s.outcome.cases()},
          {"unlisted", s.unlisted},
          {"unlisted_red", s.unlisted_red},
          {"seconds", s.outcome.seconds},
          {"stopped", s.outcome.stopped},
          {"not_begun", s.outcome.not_begun},
          {"part_accepted", s.outcome.part_accepted},
          {"verdicts", by_verdict(s.outcome.verdicts)},
          {"redrawn", s.outcome.redrawn},
          {"errors", s.outcome.errors}};
}

ordered_json worst_json(const harness::WorstElement& w) {
  return {{"step", w.step},           {"index", w.index},
          {"got", number(w.got)},     {"expected", number(w.expected)},
          {"bound", number(w.bound)}, {"ratio", number(w.ratio)}};
}

ordered_json histogram_json(const harness::RatioHistogram& ratios) {
  ordered_json out = ordered_json::array();
  for (int bucket = 0; bucket < harness::RatioHistogram::kBuckets; ++bucket) {
    if (ratios.count[bucket] != 0) out.push_back({bucket, ratios.count[bucket]});
  }
  return out;
}

ordered_json quantity_json(harness::Quantity quantity, harness::SizeClass size, const QuantitySize& q) {
  ordered_json worst = worst_json(q.worst);
  worst["line"] = q.worst_line;
  return {{"quantity", to_string(quantity)},
          {"size", to_string(size)},
          {"cases", q.cases},
          {"elements", q.ratios.total()},
          {"outside", q.outside},
          {"unbounded", q.unbounded},
          {"out_of_range", q.out_of_range},
          {"median", number(q.quantile(0.5))},
          {"p99", number(q.quantile(0.99))},
          {"max", number(q.ratios.largest)},
          {"loose_below", harness::loose_below(size)},
          {"loose", is_loose(q, size)},
          {"exact", q.exact()},
          {"worst", std::move(worst)},
          {"histogram", histogram_json(q.ratios)},
          {"case_histogram", histogram_json(q.case_largest)}};
}

ordered_json times_json(const harness::CaseTimes& t) {
  return {{"generate", t.generate},
          {"reference", t.reference},
          {"contract", t.contract},
          {"subject", t.subject},
          {"compare", t.compare}};
}

ordered_json drift_json(const TrainingDrift& result) {
  ordered_json out = {{"line", result.line}, {"suite", result.suite}, {"subject", result.subject}};
  for (const DriftSeries& series : split_drift(result.points)) {
    ordered_json one = {{"quantity", to_string(series.quantity)}};
    for (const auto& point : series.points) {
      one["step"].push_back(point.step);
      one["drift"].push_back(number(point.drift));
      one["quantization"].push_back(number(point.quantization));
      one["bound"].push_back(number(point.bound));
    }
    out["series"].push_back(std::move(one));
  }
  return out;
}

void entry_text(const CaseEntry& c, std::string& out) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"line":{},"suite":{},"subject":{},"verdict":"{}")", quote_json(c.line), quote_json(c.suite),
                 quote_json(c.subject), to_string(c.verdict));
  if (!c.reason.empty()) fmt::format_to(to, R"(,"reason":{})", quote_json(c.reason));
  if (c.first_broken) fmt::format_to(to, R"(,"first_broken":"{}")", to_string(*c.first_broken));
  if (c.first_broken_step) fmt::format_to(to, R"(,"first_broken_step":{})", *c.first_broken_step);
  if (c.ratio != CaseEntry::kNone) {
    if (std::isfinite(c.ratio))
      fmt::format_to(to, R"(,"ratio":{})", c.ratio);
    else
      out += c.ratio > 0 ? R"(,"ratio":"inf")" : R"(,"ratio":"nan")";
  }
  if (c.bits != 0) fmt::format_to(to, R"(,"bits":"{:016x}")", c.bits);
  fmt::format_to(to, R"(,"elements":{},"steps":{},"seconds":{:.7g},"subject_seconds":{:.7g}}})", c.elements, c.steps,
                 c.seconds, c.subject_seconds);
}

ordered_json window_json(const harness::ElementWindow& w) {
  const auto numbers = [](const std::vector<double>& values) {
    ordered_json out = ordered_json::array();
    for (const double value : values) out.push_back(number(value));
    return out;
  };
  ordered_json out = {{"quantity", to_string(w.quantity)},
                      {"step", w.step},
                      {"type", w.type},
                      {"index", w.index},
                      {"got", numbers(w.got)},
                      {"expected", numbers(w.expected)},
                      {"bound", numbers(w.bound)},
                      {"ratio", numbers(w.ratio)}};
  if (!w.block.empty()) out["block"] = w.block;
  return out;
}

// With all that a reader needs to make the entry again: it need not be among `cases` of a cut list.
ordered_json detail_json(const CaseDetail& d) {
  std::string entry;
  entry_text(d.entry, entry);
  ordered_json out = ordered_json::parse(entry);
  out["quantities"] = ordered_json::array();
  for (const QuantityDetail& q : d.quantities) {
    out["quantities"].push_back({{"quantity", to_string(q.quantity)},
                                 {"elements", q.elements},
                                 {"outside", q.outside},
                                 {"max", number(q.max)},
                                 {"worst", worst_json(q.worst)}});
  }
  out["options"] = ordered_json::array();
  for (const auto& use : d.options) out["options"].push_back({{"value", use.value}, {"acted", use.acted}});
  if (d.window) out["window"] = window_json(*d.window);
  if (!d.bundle.empty()) out["bundle"] = d.bundle;
  out["times"] = times_json(d.times);
  return out;
}

// One member a line and one list entry a line: the file can be read by eye, and 1e5 cases never form one tree in
// memory.
class Document {
 public:
  void member(std::string_view name, const ordered_json& value) {
    key(name);
    text_ += dump_json(value);
  }
  template <class List, class ToJson>
  void list(std::string_view name, const List& entries, ToJson to_json) {
    key(name);
    text_ += '[';
    const char* separator = "\n";
    for (const auto& entry : entries) {
      text_ += separator;
      text_ += "  ";
      if constexpr (std::is_invocable_v<ToJson, decltype(entry), std::string&>)
        to_json(entry, text_);
      else
        text_ += dump_json(to_json(entry));
      separator = ",\n";
    }
    text_ += "\n ]";
  }
  std::string finish() && { return std::move(text_) + "\n}\n"; }

 private:
  void key(std::string_view name) {
    text_ += text_.size() > 1 ? ",\n " : "\n ";
    text_ += '"' + std::string(name) + "\": ";
  }
  std::string text_ = "{";
};

}  // namespace

std::string write_json(const Summary& s) {
  std::vector<ordered_json> quantities;
  for (int q = 0; q < harness::kQuantities; ++q) {
    for (int size = 0; size < harness::kSizeClasses; ++size) {
      if (s.quantities[q][size].empty()) continue;
      quantities.push_back(quantity_json(static_cast<harness::Quantity>(q), static_cast<harness::SizeClass>(size),
                                         s.quantities[q][size]));
    }
  }
  const auto same = [](const ordered_json& value) -> const ordered_json& { return value; };
  Document document;
  document.member("schema", kReportSchema);
  document.member("run", run_json(s.run));
  document.member("outcome", outcome_json(s));
  document.member("times", times_json(s.times));
  document.list("quantities", quantities, same);
  document.list("options", s.options, [](const auto& option) {
    return ordered_json{{"value", option.first},
                        {"cases", by_verdict(option.second.cases)},
                        {"acted", by_verdict(option.second.acted)}};
  });
  document.list("worst", s.worst.kept(), detail_json);
  document.list("red", s.red.kept(), detail_json);
  document.list("drift", s.drift, drift_json);
  document.list("sections", s.sections, section_json);
  document.list("cases", s.cases, entry_text);
  return std::move(document).finish();
}

}  // namespace plumbline::reports
