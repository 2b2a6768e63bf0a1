#include "tests/reports/samples.h"

#include <expat.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>

namespace plumbline::reports::samples {

using harness::CaseResult;
using harness::Quantity;
using harness::Verdict;

harness::RunDescription description() {
  harness::RunDescription run;
  run.version = "0.1.0";
  run.commit = "0123abc";
  run.date = "2026-01-02T03:04:05Z";
  run.command = "plumbline verify --report 'out <dir>'";
  run.subject = "host";
  run.suite = "full";
  run.seed = 18446744073709551615u;
  run.cpu = "A CPU & co";
  run.os = "Linux 6.1";
  run.compiler = "GCC 12.2.0";
  run.flags = "-O3 -ffp-contract=off -march=x86-64-v3";
  run.build_type = "Release";
  run.cores = 2;
  return run;
}

CaseResult passing(uint64_t seed) {
  std::mt19937_64 random(seed);
  CaseResult result;
  result.line = fmt::format("adafactor shape={}x129 type=float32 storage=al8 seed={}", seed % 97 + 1, seed);
  result.suite = "generated";
  result.subject = "host";
  result.elements = static_cast<int64_t>(seed % 97 + 1) * 129;
  result.steps = 5;
  std::exponential_distribution<double> ratio(12);
  for (int q = 0; q < static_cast<int>(Quantity::row_drift); ++q) {
    auto& quantity = result.quantities.emplace_back();
    quantity.quantity = static_cast<Quantity>(q);
    quantity.unbounded = seed % 3;
    for (int i = 0; i < 20; ++i) {
      const double r = i % 7 == 0 ? 0.0 : std::min(ratio(random), 0.9);
      quantity.ratios.add(r);
      if (r >= quantity.worst.ratio) quantity.worst = {i % 5, i, 1.5 + r * 1e-7, 1.5, 1e-7, r};
    }
  }
  result.options = {{"clip=1", seed % 3 == 0}, {"storage=al8", true}, {"maximize=true", false}};
  result.times = {1e-4, 3e-4, 2e-4, 5e-4, 1e-4};
  return result;
}

CaseResult failing(const std::string& line) {
  CaseResult result = passing(7);
  result.line = line;
  result.verdict = Verdict::fail;
  result.reason = "row is outside its bound " + kHostile;
  result.first_broken = Quantity::row;
  result.first_broken_step = 3;
  auto& row = result.quantities[static_cast<size_t>(Quantity::row)];
  row.ratios.add(std::numeric_limits<double>::quiet_NaN());
  row.worst = {3, 12, std::numeric_limits<double>::quiet_NaN(), 0.25, 0, std::numeric_limits<double>::infinity()};
  row.outside = 1;
  return result;
}

CaseResult with_verdict(Verdict verdict, const std::string& line) {
  CaseResult result;
  result.line = line;
  result.suite = "generated";
  result.subject = "host";
  result.verdict = verdict;
  if (verdict != Verdict::pass) result.reason = fmt::format("reason of {}", to_string(verdict));
  result.elements = 10;
  return result;
}

CaseResult training(const std::string& line, double scale) {
  CaseResult result = with_verdict(Verdict::pass, line);
  result.suite = "traces";
  for (int step = 1; step <= 24; ++step) {
    for (int q = static_cast<int>(Quantity::row_drift); q < harness::kQuantities; ++q) {
      const double quantization = q % 2 == 0 ? scale * std::sqrt(step) * (1 + 0.2 * std::sin(step)) : 0;
      result.drift.push_back(
          {step, static_cast<Quantity>(q), quantization * 1.05 + scale * 1e-4, quantization, scale * 3e-4 * step});
    }
  }
  return result;
}

harness::Section study() {
  using Kind = harness::Chart::Kind;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  harness::Section section;
  section.id = "codecs";
  section.title = "Codecs & " + kHostile;
  section.text = "What a codec makes of every value. " + kHostile;
  section.tables.push_back(
      {"Throughput " + kHostile,
       {"codec", "encode (GB/s)", "codes"},
       {{"al8", 812.5, int64_t{256}}, {kHostile, nan, int64_t{-1234567}}, {"log_u8", inf, int64_t{0}}}});
  harness::Chart chart;
  chart.id = "error";
  chart.title = "Relative error by step";
  chart.description = "Errors of al8 stay within the shaded interval.";
  chart.kind = Kind::line;
  chart.x = {"step", false};
  chart.y = {"relative error", true};
  for (const char* name : {"al8", "log_u8", "linear_u8"}) {
    harness::Series& series = chart.series.emplace_back();
    series.name = name;
    for (int i = 0; i < 500; ++i) {
      series.x.push_back(i);
      series.y.push_back(i == 7 ? nan : i == 9 ? 0 : 1e-4 * double(chart.series.size()) * (1.2 + std::sin(i / 30.0)));
      series.low.push_back(series.y.back() * 0.8);
      series.high.push_back(series.y.back() * 1.25);
    }
  }
  section.charts.push_back(chart);

  chart = {"speed", "Speed by shape", "", Kind::scatter, {"elements", true}, {"time (us)", true}, {}};
  for (const char* name : {"fused", "copy"}) {
    harness::Series& series = chart.series.emplace_back();
    series.name = name;
    for (int i = 8; i < 28; ++i) {
      series.x.push_back(std::exp2(i));
      series.y.push_back(3 + std::exp2(i) * (name[0] == 'f' ? 2e-5 : 1e-5));
      series.labels.push_back(fmt::format("2^{} elements", i));
    }
  }
  section.charts.push_back(chart);

  chart = {"codes",         "Code usage",     "Every code is used.",        Kind::bar,
           {"code", false}, {"share", false}, {{"al8", {}, {}, {}, {}, {}}}};
  for (int code = 0; code < 256; ++code) {
    chart.series[0].x.push_back(code);
    chart.series[0].y.push_back(std::exp(-std::pow((code - 128) / 40.0, 2)) / 70);
  }
  section.charts.push_back(chart);

  chart = {"ulp", "Distance in ulp", "", Kind::bar, {"ulp", false}, {"arguments", true}, {}};
  for (const char* name : {"log2", "exp2"})
    chart.series.push_back({name, {}, {3e9, 1.1e9, 2e5, 0}, {}, {}, {"0", "1", "2", "3"}});
  section.charts.push_back(chart);

  chart = {"kernels",
           "Time of kernels",
           "",
           Kind::bar,
           {"kernel", false},
           {"time (us)", false},
           {{"time", {}, {}, {}, {}, {}}}};
  for (int i = 0; i < 9; ++i) {
    chart.series[0].labels.push_back(fmt::format("a_kernel_with_a_long_name_{}", i));
    chart.series[0].y.push_back(10 + 3 * i);
    chart.series[0].low.push_back(9 + 3 * i);
    chart.series[0].high.push_back(12 + 3 * i);
  }
  section.charts.push_back(chart);

  chart = {"kills",
           "Kill matrix",
           "Cases until a property kills a mutant.",
           Kind::heatmap,
           {"property", false},
           {"cases", false},
           {}};
  for (int mutant = 0; mutant < 12; ++mutant) {
    harness::Series& row = chart.series.emplace_back();
    row.name = fmt::format("mutant {}", mutant);
    for (int property = 0; property < 10; ++property) {
      row.labels.push_back(property == 3 ? kHostile : fmt::format("property {}", property));
      row.y.push_back((mutant * 7 + property * 3) % 5 == 0 ? (mutant + 1) * (property + 1) : property == 5 ? nan : 0);
    }
  }
  section.charts.push_back(chart);
  chart = {
      "none", "Nothing finite", "", Kind::line, {"x", false}, {"y", true}, {{"a", {1, 2}, {nan, inf}, {}, {}, {}}}};
  section.charts.push_back(chart);
  return section;
}

std::vector<CaseResult> mixed() {
  std::vector<CaseResult> out;
  for (uint64_t seed = 0; seed < 40; ++seed) out.push_back(passing(seed));
  out.push_back(failing("adafactor shape=37x129 seed=7 note='it''s' " + kHostile));
  for (int v = 1; v < harness::kVerdicts; ++v) {
    const auto verdict = static_cast<Verdict>(v);
    if (verdict != Verdict::fail) out.push_back(with_verdict(verdict, fmt::format("adafactor shape=1x{}", v)));
  }
  out.push_back(training("trace=gpt_bytes storage=al8", 1e-3));
  out.push_back(training("trace=digits_cnn storage=log_u8", 4e-2));
  return out;
}

Summary summarize(const std::vector<CaseResult>& results) {
  Summary summary;
  harness::RunSummary run;
  run.seconds = 12.5;
  summary.begin(description(), results.size());
  for (const auto& result : results) {
    summary.add(result);
    ++run.verdicts[static_cast<size_t>(result.verdict)];
  }
  summary.finish(run);
  return summary;
}

std::vector<const Element*> Element::all(const std::string& wanted) const {
  std::vector<const Element*> out;
  for (const Element& child : children) {
    if (child.name == wanted) out.push_back(&child);
    for (const Element* deeper : child.all(wanted)) out.push_back(deeper);
  }
  return out;
}

Element parse_xml(const std::string& document) {
  struct Reader {
    Element root;
    std::vector<Element> open;
  } reader;
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(XML_ParserCreate(nullptr), &XML_ParserFree);
  XML_SetUserData(parser.get(), &reader);
  XML_SetElementHandler(
      parser.get(),
      [](void* user, const XML_Char* name, const XML_Char** attributes) {
        Element element;
        element.name = name;
        for (; *attributes != nullptr; attributes += 2) element.attributes[attributes[0]] = attributes[1];
        static_cast<Reader*>(user)->open.push_back(std::move(element));
      },
      [](void* user, const XML_Char*) {
        auto* r = static_cast<Reader*>(user);
        Element done = std::move(r->open.back());
        r->open.pop_back();
        (r->open.empty() ? r->root : r->open.back().children.emplace_back()) = std::move(done);
      });
  XML_SetCharacterDataHandler(parser.get(), [](void* user, const XML_Char* text, int size) {
    static_cast<Reader*>(user)->open.back().text.append(text, static_cast<size_t>(size));
  });
  if (XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), 1) != XML_STATUS_OK) {
    throw std::runtime_error(fmt::format("line {}: {}", XML_GetCurrentLineNumber(parser.get()),
                                         XML_ErrorString(XML_GetErrorCode(parser.get()))));
  }
  return reader.root;
}

}  // namespace plumbline::reports::samples
