#include "harness/subjects/hardware/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/subjects/hardware/text.h"

namespace plumbline::harness::hardware {
namespace {

namespace diag = plumbline::diagnostics;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::string bits(uint32_t x) { return fmt::format("{:08x}", x); }
Cell count(uint64_t n) { return int64_t(n); }
template <class T>
Cell optional_cell(const std::optional<T>& x) {
  return x ? double(*x) : kNone;
}

Section overview(const std::vector<DeviceRun>& runs, const std::vector<std::string>& notes) {
  Section section;
  section.id = "hardware";
  section.title = "Hardware";
  section.text =
      "Whether each device computes what the others and the host twin compute: functions over all float32 inputs, IEEE "
      "operations on hard operands, every code of the codecs, the bits of fixed work, and a soak whose every word is "
      "known.";
  Table table{"Devices", {"device", "name", "driver", "memory (GiB)", "ECC"}, {}};
  for (int p = 0; p < kParts; ++p) {
    table.columns.emplace_back(to_string(Part(p)));
    table.columns.push_back(fmt::format("{} (s)", to_string(Part(p))));
  }
  table.columns.emplace_back("verdict");
  Table said{"Notes", {"device", "note"}, {}};
  for (const DeviceRun& run : runs) {
    const bool gpu = run.target.backend == Backend::cuda;
    std::vector<Cell> row = {run.target.label, run.target.name, run.driver,
                             gpu ? double(run.target.gpu.memory) * 0x1p-30 : kNone,
                             std::string(!gpu                 ? ""
                                         : run.target.gpu.ecc ? "on"
                                                              : "off")};
    for (int p = 0; p < kParts; ++p) {
      row.emplace_back(run.verdict(Part(p)));
      row.emplace_back(run.part_seconds[p]);
    }
    row.emplace_back(std::string(run.verdict()));
    table.rows.push_back(std::move(row));
    for (const std::string& note : run.notes) said.rows.push_back({run.target.label, note});
    for (const std::string& missed : run.missed) said.rows.push_back({run.target.label, "left out: " + missed});
    for (const std::string& error : run.errors) said.rows.push_back({run.target.label, "error: " + error});
    section.green = section.green && !run.wrong();
  }
  for (const std::string& note : notes) said.rows.push_back({std::string(), note});
  for (const std::string& odd : odd_ones(runs)) said.rows.push_back({odd, std::string("the odd one out")});
  section.tables.push_back(std::move(table));
  if (!said.rows.empty()) section.tables.push_back(std::move(said));
  return section;
}

Section functions(const std::vector<DeviceRun>& runs) {
  Section section;
  section.id = "hardware-functions";
  section.title = "Functions over float32";
  section.text =
      "Distance from the true result in units of the last place; \"certified\": within the error that the contracts "
      "build "
      "on, and the checksum of all results that of the host twin. The chip's own approximations are measured for "
      "information: nothing uses them.";
  Table table{"Functions",
              {"device", "function", "promise", "inputs", "outside its domain", "not correctly rounded",
               "largest error (ulp)", "bound (ulp)", "worst input", "its result", "checksum", "time (s)", "verdict"},
              {}};
  Chart chart;
  chart.id = "ulps";
  chart.title = "Error of the functions that are not correctly rounded";
  chart.description = "Share of inputs by error: the library's log2 and exp2 end near half a unit, the chip's do not.";
  chart.kind = Chart::Kind::line;
  chart.x = {"error, lower edge of the class (ulp)", false};
  chart.y = {"share of inputs in the domain", true};
  for (const DeviceRun& run : runs) {
    section.green = section.green && run.good(Part::functions);
    for (const ScanRun& s : run.scans) {
      const diag::FunctionRow& row = diag::row_of(s.subject.function);
      const char* promise = row.promise == diag::Promise::certified ? "certified"
                            : row.promise == diag::Promise::nearest ? "correctly rounded"
                                                                    : "none";
      table.rows.push_back({run.target.label, diag::to_string(s.subject), std::string(promise), count(s.scan.inputs),
                            count(s.scan.outside), count(s.scan.not_nearest), double(s.scan.largest),
                            row.promise == diag::Promise::information ? kNone : row.bound, bits(s.scan.worst_input),
                            bits(s.scan.worst_result), fmt::format("{:016x}", s.scan.checksum), s.seconds,
                            std::string(s.good ? "good" : "RED")});
      if (row.promise == diag::Promise::nearest) continue;
      Series series;
      series.name = run.target.label + ", " + diag::to_string(s.subject);
      const double inside = double(s.scan.inputs - s.scan.outside);
      for (int b = 0; b < diag::kUlpBuckets; ++b) {
        if (s.scan.histogram[size_t(b)] == 0) continue;
        series.x.push_back(diag::lower_edge(b));
        series.y.push_back(double(s.scan.histogram[size_t(b)]) / inside);
      }
      chart.series.push_back(std::move(series));
    }
  }
  section.tables.push_back(std::move(table));
  if (!chart.series.empty()) section.charts.push_back(std::move(chart));
  return section;
}

Section operations(const std::vector<DeviceRun>& runs) {
  Section section;
  section.id = "hardware-operations";
  section.title = "IEEE operations and codecs";
  section.text =
      "Bit for bit on hard operands: ties, subnormals, cancellation, edges of overflow, NaN, signed zeros. Codecs: "
      "every "
      "code of every block range is decoded, encoded again, and the value halfway to the next code is encoded.";
  Table table{"Operations",
              {"device", "operation", "operands", "wrong", "flushes subnormal operands", "flushes subnormal results",
               "first wrong"},
              {}};
  Table codecs{"Codecs",
               {"device", "codec", "points", "told apart", "not monotone", "not idempotent", "halfway misplaced",
                "wrong zero", "unlike the host twin"},
               {}};
  for (const DeviceRun& run : runs) {
    section.green = section.green && run.good(Part::operations) && run.good(Part::codecs);
    for (const OperationRun& o : run.operations)
      table.rows.push_back({run.target.label, o.name, count(o.vectors), count(o.wrong),
                            std::string(o.flush.operands ? "yes" : "no"), std::string(o.flush.results ? "yes" : "no"),
                            o.first_wrong});
    for (const CodecRun& c : run.codecs)
      codecs.rows.push_back({run.target.label, c.name, count(c.faults.points), count(c.faults.told_apart),
                             count(c.faults.not_monotone), count(c.faults.not_idempotent), count(c.faults.misplaced),
                             count(c.faults.wrong_zero), count(c.unlike_host)});
  }
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
  if (!codecs.rows.empty()) section.tables.push_back(std::move(codecs));
  return section;
}

Section fingerprints(const std::vector<DeviceRun>& runs) {
  Section section;
  section.id = "hardware-fingerprint";
  section.title = "Fingerprint";
  section.text =
      "Bits of fixed work, hashed stage by stage in the order of the computation: the first stage that differs is "
      "where it began.";
  Table table{
      "Fingerprints", {"device", "hash", "pieces of work", "stages", "compared with", "compared", "different"}, {}};
  Table differences{"Differences",
                    {"device", "compared with", "work", "step", "first stage", "element", "got", "expected",
                     "elements that differ", "later stages that differ"},
                    {}};
  const auto list = [&](const DeviceRun& run, const std::string& with, const diag::Comparison& c) {
    size_t stages = 0;
    for (const diag::ProbeHash& p : run.fingerprint.probes) stages += p.stages.size();
    table.rows.push_back({run.target.label, fmt::format("{:016x}", run.fingerprint.hash()),
                          count(run.fingerprint.probes.size()), count(stages), with, count(c.compared),
                          count(c.differences.size())});
    for (const diag::Difference& d : c.differences)
      differences.rows.push_back(
          {run.target.label, with, d.line, int64_t(d.step), d.stage.empty() ? "stages differ" : d.stage,
           d.exact ? fmt::format("{}", d.first) : fmt::format("{} to {}", d.first, d.last),
           d.exact ? fmt::format("{:x}", d.got) : "", d.exact ? fmt::format("{:x}", d.expected) : "",
           d.exact ? double(d.different) : kNone, count(d.other_stages)});
  };
  for (const DeviceRun& run : runs) {
    section.green = section.green && run.good(Part::fingerprint);
    if (!run.ran(Part::fingerprint)) continue;
    if (!run.with_host && !run.with_other) list(run, "", {});
    if (run.with_host) list(run, "host twin", *run.with_host);
    if (run.with_other) list(run, run.other, *run.with_other);
  }
  section.tables.push_back(std::move(table));
  if (!differences.rows.empty()) section.tables.push_back(std::move(differences));
  return section;
}

Section sensitivity(const std::vector<DeviceRun>& runs) {
  Section section;
  section.id = "hardware-sensitivity";
  section.title = "What the checks would see";
  section.text =
      "Deliberate faults: in a word of a training step's result in memory (\"output\"), and in one product within the "
      "arithmetic "
      "of the soak (\"register\"). Beside it, what a comparison of the device with itself at a relative tolerance of "
      "1e-3 sees.";
  Table table{
      "Injected faults",
      {"device", "where", "fault", "size", "injected", "caught", "caught by tolerance 1e-3", "caught per second"},
      {}};
  Chart flips{"flips",
              "Flipped bits of a result: share caught",
              "The checks see every bit; a tolerance sees the upper ones.",
              Chart::Kind::line,
              {"bit", false},
              {"share caught", false},
              {}};
  Chart errors{"relative-errors",
               "Relative errors of a result: share caught",
               "The checks see every relative error; a tolerance of 1e-3 sees those above it.",
               Chart::Kind::line,
               {"relative error", true},
               {"share caught", false},
               {}};
  for (const DeviceRun& run : runs) {
    section.green = section.green && run.good(Part::sensitivity);
    Series flip_checks{run.target.label + ", checks", {}, {}, {}, {}, {}},
        flip_tolerance{run.target.label + ", tolerance 1e-3", {}, {}, {}, {}, {}};
    Series error_checks = flip_checks, error_tolerance = flip_tolerance;
    for (const diag::SensitivityRow& r : run.sensitivity) {
      const bool output = r.where == "output", flip = r.kind == diag::ChainFault::Kind::flip,
                 relative = r.kind == diag::ChainFault::Kind::relative;
      table.rows.push_back({run.target.label, r.where, std::string(diag::to_string(r.kind)),
                            flip       ? fmt::format("bit {}", r.amount)
                            : relative ? fmt::format("2^-{}", r.amount)
                                       : "",
                            count(r.injected), count(r.caught), output ? double(r.caught_by_tolerance) : kNone,
                            double(r.caught) / std::max(r.seconds, 1e-9)});
      if (!output || !(flip || relative) || r.injected == 0) continue;
      const double x = flip ? r.amount : std::ldexp(1.0, -r.amount), all = double(r.injected);
      (flip ? flip_checks : error_checks).x.push_back(x);
      (flip ? flip_checks : error_checks).y.push_back(double(r.caught) / all);
      (flip ? flip_tolerance : error_tolerance).x.push_back(x);
      (flip ? flip_tolerance : error_tolerance).y.push_back(double(r.caught_by_tolerance) / all);
    }
    if (run.sensitivity.empty()) continue;
    flips.series.insert(flips.series.end(), {flip_checks, flip_tolerance});
    errors.series.insert(errors.series.end(), {error_checks, error_tolerance});
  }
  section.tables.push_back(std::move(table));
  section.charts = {std::move(flips), std::move(errors)};
  return section;
}

Section soaks(const std::vector<DeviceRun>& runs) {
  Section section;
  section.id = "hardware-soak";
  section.title = "Soak";
  section.text =
      "Every part of the device at work on words that the host twin knows. Rates are of bytes read and written; the "
      "memory "
      "phase's is beside the copy rate of the same run.";
  Table summary{"Soaks",
                {"device", "time (s)", "rounds", "memory under test (GiB)", "copy rate (TB/s)", "memory phase (TB/s)",
                 "of the copy rate (%)", "hottest (°C)", "power at the end (W)", "clock at the end (MHz)",
                 "ECC corrected", "ECC uncorrected", "miscompares", "stopped"},
                {}};
  Table phases{"Phases",
               {"device", "phase", "runs", "time (s)", "bytes (TB)", "rate (TB/s)", "results (10^12)",
                "results (10^12/s)", "miscompares"},
               {}};
  Table findings{"Miscompares",
                 {"device",
                  "phase",
                  "round",
                  "at (s)",
                  "expected",
                  "actual",
                  "xor",
                  "address",
                  "byte or thread",
                  "block",
                  "multiprocessor",
                  "device clock (ns)",
                  "temperature (°C)",
                  "SM clock (MHz)",
                  "memory clock (MHz)",
                  "ECC corrected",
                  "ECC uncorrected",
                  "again here",
                  "again elsewhere",
                  "what"},
                 {}};
  for (const DeviceRun& run : runs) {
    section.green = section.green && run.good(Part::soak);
    if (!run.soak) continue;
    const diag::SoakResult& s = *run.soak;
    const auto grown = [](const std::optional<uint64_t>& first, const std::optional<uint64_t>& last) {
      return first && last ? double(*last - *first) : kNone;
    };
    summary.rows.push_back({run.target.label, s.seconds, count(s.rounds), double(s.memory_bytes) * 0x1p-30,
                            s.copy_rate * 1e-12, s.memory_rate * 1e-12,
                            100 * s.memory_rate / std::max(s.copy_rate, 1.0), s.hottest > 0 ? double(s.hottest) : kNone,
                            optional_cell(s.last.power), optional_cell(s.last.sm_clock),
                            grown(s.first.corrected, s.last.corrected), grown(s.first.uncorrected, s.last.uncorrected),
                            count(s.miscompares), s.stopped});
    for (int p = 0; p < diag::kPhases; ++p) {
      const diag::PhaseTotal& t = s.phases[size_t(p)];
      phases.rows.push_back({run.target.label, std::string(diag::to_string(diag::Phase(p))), count(t.runs), t.seconds,
                             t.bytes > 0 ? double(t.bytes) * 1e-12 : kNone,
                             t.bytes > 0 ? double(t.bytes) * 1e-12 / t.seconds : kNone,
                             t.results > 0 ? double(t.results) * 1e-12 : kNone,
                             t.results > 0 ? double(t.results) * 1e-12 / t.seconds : kNone, count(t.miscompares)});
    }
    for (const diag::Finding& f : s.findings) {
      const auto repeats = [](int n) {
        return n < 0 ? std::string("not tried") : fmt::format("{} of {}", n, diag::SoakPlan::kRepeats);
      };
      const bool word = f.what.empty();
      findings.rows.push_back({run.target.label,
                               std::string(diag::to_string(f.phase)),
                               count(f.round),
                               f.at,
                               word ? fmt::format("{:016x}", f.word.expected) : "",
                               word ? fmt::format("{:016x}", f.word.actual) : "",
                               word ? fmt::format("{:016x}", f.word.expected ^ f.word.actual) : "",
                               f.word.address != 0 ? fmt::format("{:#x}", f.word.address) : "",
                               word ? count(f.word.where) : Cell(kNone),
                               word ? Cell(int64_t(f.word.block)) : Cell(kNone),
                               word ? Cell(int64_t(f.word.multiprocessor)) : Cell(kNone),
                               word ? count(f.word.nanoseconds) : Cell(kNone),
                               optional_cell(f.reading.temperature),
                               optional_cell(f.reading.sm_clock),
                               optional_cell(f.reading.memory_clock),
                               optional_cell(f.reading.corrected),
                               optional_cell(f.reading.uncorrected),
                               repeats(f.again_here),
                               repeats(f.again_elsewhere),
                               f.what});
    }
  }
  section.tables = {std::move(summary), std::move(phases)};
  if (!findings.rows.empty()) section.tables.push_back(std::move(findings));
  return section;
}

}  // namespace

std::vector<Section> make_sections(const std::vector<DeviceRun>& runs, const std::vector<std::string>& notes) {
  std::vector<Section> sections = {overview(runs, notes)};
  const auto any = [&](Part part) {
    return std::any_of(runs.begin(), runs.end(), [&](const DeviceRun& run) { return run.ran(part); });
  };
  if (any(Part::functions)) sections.push_back(functions(runs));
  if (any(Part::operations) || any(Part::codecs)) sections.push_back(operations(runs));
  if (any(Part::fingerprint)) sections.push_back(fingerprints(runs));
  if (any(Part::sensitivity)) sections.push_back(sensitivity(runs));
  if (any(Part::soak)) sections.push_back(soaks(runs));
  return sections;
}

}  // namespace plumbline::harness::hardware
