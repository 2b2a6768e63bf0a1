#include "harness/subjects/hardware/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace plumbline::harness::hardware {
namespace {

namespace diag = plumbline::diagnostics;

std::string functions_text(const DeviceRun& run) {
  const auto inputs = run.scans.front().scan.inputs;
  std::string bad;
  for (const ScanRun& s : run.scans)
    if (!s.good)
      bad += fmt::format("; {}: {} not as promised, {:.6g} ulp at {:08x} -> {:08x}", diag::to_string(s.subject),
                         s.scan.not_nearest, s.scan.largest, s.scan.worst_input, s.scan.worst_result);
  return fmt::format("{} scans of 2^{:.0f} inputs, {}", run.scans.size(), std::log2(double(inputs)),
                     bad.empty() ? "all as certified" : "RED" + bad);
}

std::string operations_text(const DeviceRun& run) {
  uint64_t vectors = 0;
  std::string bad;
  for (const OperationRun& o : run.operations) {
    vectors += o.vectors;
    if (o.wrong > 0) bad += fmt::format("; {}: {} wrong, first {}", o.name, o.wrong, o.first_wrong);
    if (o.flush.operands || o.flush.results) bad += fmt::format("; {} flushes subnormals to zero", o.name);
  }
  return fmt::format("{} IEEE operations on {} hard operands, {}", run.operations.size(), vectors,
                     bad.empty() ? "equal bit for bit, subnormals kept" : "RED" + bad);
}

std::string codecs_text(const DeviceRun& run) {
  uint64_t points = 0;
  std::string bad;
  for (const CodecRun& c : run.codecs) {
    points += c.faults.points;
    if (c.faults.total() + c.unlike_host > 0)
      bad += fmt::format("; {}: {} faults, {} points unlike the host twin's", c.name, c.faults.total(), c.unlike_host);
  }
  return fmt::format("{} codecs, {} codes of block ranges, {}", run.codecs.size(), points,
                     bad.empty() ? "all as promised" : "RED" + bad);
}

std::string comparison_text(const diag::Comparison& c, const std::string& with) {
  if (c.compared == 0) return fmt::format("RED: nothing to compare with {}", with);
  if (c.equal()) return fmt::format("equal to {}", with);
  if (c.differences.empty())
    return fmt::format("RED: {} of {} pieces are not in {}, the others are equal", c.only_here,
                       c.only_here + c.compared, with);
  return fmt::format("RED: {} of {} pieces differ from {}; first: {}", c.differences.size(), c.compared, with,
                     difference_text(c.differences.front()));
}

std::string fingerprint_text(const DeviceRun& run) {
  size_t stages = 0;
  for (const diag::ProbeHash& p : run.fingerprint.probes) stages += p.stages.size();
  std::string text = fmt::format("{:016x} of {} pieces of work in {} stages", run.fingerprint.hash(),
                                 run.fingerprint.probes.size(), stages);
  if (run.with_host) text += ", " + comparison_text(*run.with_host, "the host twin's");
  if (run.with_other) text += ", " + comparison_text(*run.with_other, run.other + "'s");
  return text;
}

std::string sensitivity_text(const DeviceRun& run) {
  uint64_t injected = 0, caught = 0, output = 0, tolerance = 0;
  double seconds = 0;
  for (const diag::SensitivityRow& r : run.sensitivity) {
    injected += r.injected;
    caught += r.caught;
    seconds += r.seconds;
    if (r.where != "output") continue;
    output += r.injected;
    tolerance += r.caught_by_tolerance;
  }
  return fmt::format(
      "{}{} of {} injected faults caught, {:.0f} a second (of the {} in results a tolerance of 1e-3 catches {:.0f} %)",
      caught == injected ? "" : "RED: ", caught, injected, double(caught) / std::max(seconds, 1e-9), output,
      100.0 * double(tolerance) / double(std::max<uint64_t>(output, 1)));
}

std::string soak_text(const DeviceRun& run) {
  const diag::SoakResult& s = *run.soak;
  double bytes = 0, results = 0;
  for (const diag::PhaseTotal& p : s.phases) {
    bytes += double(p.bytes);
    results += double(p.results);
  }
  std::string text = fmt::format("{} rounds, {:.3g} TB of words and {:.3g}e12 results of operations checked", s.rounds,
                                 bytes * 1e-12, results * 1e-12);
  if (s.memory_rate > 0)
    text += fmt::format("; {:.1f} GiB of memory at {:.2f} TB/s, {:.0f} % of the copy rate",
                        double(s.memory_bytes) * 0x1p-30, s.memory_rate * 1e-12,
                        100 * s.memory_rate / std::max(s.copy_rate, 1.0));
  if (s.hottest > 0) text += fmt::format("; at most {} °C", s.hottest);
  text += s.miscompares == 0 && s.findings.empty() ? "; no miscompare"
                                                   : fmt::format("; RED: {} miscompares", s.miscompares);
  if (!s.stopped.empty()) text += fmt::format("; stopped: {}", s.stopped);
  if (!s.findings.empty()) text += "; first: " + finding_text(s.findings.front());
  return text;
}

}  // namespace

std::string target_line(const Target& t, const std::string& driver) {
  if (t.backend != Backend::cuda) return fmt::format("{}: {}", t.label, t.name);
  const diag::GpuDescription& g = t.gpu;
  return fmt::format("{}: {}, compute capability {}.{}, {} multiprocessors, {:.0f} GiB, ECC {}{}", t.label, t.name,
                     g.capability / 10, g.capability % 10, g.multiprocessors, double(g.memory) * 0x1p-30,
                     g.ecc ? "on" : "off", driver.empty() ? "" : ", driver " + driver);
}

std::string part_line(const DeviceRun& run, Part part) {
  std::string text;
  switch (part) {
    case Part::functions:
      text = functions_text(run);
      break;
    case Part::operations:
      text = operations_text(run);
      break;
    case Part::codecs:
      text = codecs_text(run);
      break;
    case Part::fingerprint:
      text = fingerprint_text(run);
      break;
    case Part::sensitivity:
      text = sensitivity_text(run);
      break;
    case Part::soak:
      text = soak_text(run);
      break;
  }
  return fmt::format("{:<12} {} ({:.1f} s)", to_string(part), text, run.part_seconds[int(part)]);
}

std::string difference_text(const diag::Difference& d) {
  const std::string where = d.step > 0 ? fmt::format("step {}, ", d.step) : "";
  if (d.stage.empty()) return fmt::format("'{}': {}the stages themselves differ", d.line, where);
  if (!d.exact)
    return fmt::format("'{}': {}{}, between elements {} and {} of {}", d.line, where, d.stage, d.first, d.last,
                       d.elements);
  return fmt::format("'{}': {}{}, element {}: got {:x}, expected {:x} ({} of {} differ)", d.line, where, d.stage,
                     d.first, d.got, d.expected, d.different, d.elements);
}

std::string finding_text(const diag::Finding& f) {
  std::string text = fmt::format("{} at {:.1f} s, round {}", diag::to_string(f.phase), f.at, f.round);
  if (!f.what.empty()) {
    text += ": " + f.what;
  } else {
    text += fmt::format(": expected {:016x}, got {:016x}, xor {:016x}, block {}, multiprocessor {}", f.word.expected,
                        f.word.actual, f.word.expected ^ f.word.actual, f.word.block, f.word.multiprocessor);
    if (f.word.address != 0) text += fmt::format(", address {:#x} (byte {} under test)", f.word.address, f.word.where);
  }
  if (f.again_here >= 0) text += fmt::format("; again in {} of {} repetitions", f.again_here, diag::SoakPlan::kRepeats);
  if (f.again_elsewhere >= 0)
    text += fmt::format(", on another GPU in {} of {}", f.again_elsewhere, diag::SoakPlan::kRepeats);
  return text;
}

}  // namespace plumbline::harness::hardware
