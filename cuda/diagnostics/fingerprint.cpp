#include "cuda/diagnostics/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cuda/diagnostics/codec_points.h"
#include "cuda/diagnostics/function.h"
#include "cuda/diagnostics/ieee.h"
#include "cuda/diagnostics/layer_work.h"
#include "cuda/diagnostics/mix.h"
#include "cuda/diagnostics/values.h"

namespace plumbline::diagnostics {
namespace {

Stage words_stage(const char* name, const std::vector<uint64_t>& values, bool narrow) {
  Stage stage{name, 0, narrow ? 4 : 8, {}};
  stage.bytes.resize(values.size() * size_t(stage.element_bytes));
  for (size_t i = 0; i < values.size(); ++i)  // little-endian: the low half first
    std::memcpy(&stage.bytes[i * size_t(stage.element_bytes)], &values[i], size_t(stage.element_bytes));
  return stage;
}

void add_functions(std::vector<Probe>& probes) {
  constexpr int kShift = 15;  // 2^17 inputs of each
  for (const FunctionRow& row : function_table()) {
    if (row.chip_only) continue;
    for (const float divisor : kDivisors) {
      const ScanSubject subject{row.function, row.function == Function::divide ? divisor : 1.0f};
      probes.push_back({fmt::format("function {}: one input of 2^{}", to_string(subject), kShift), "functions",
                        [subject](Backend backend, int device, const auto& take) {
                          take(words_stage("result", evaluate_function(subject, kShift, backend, device), true));
                        }});
      if (row.function != Function::divide) break;
    }
  }
}

void add_operations(std::vector<Probe>& probes) {
  for (const bool wide : {false, true})
    for (int o = 0; o < kOperations; ++o) {
      const auto operation = Operation(o);
      if (operation == Operation::narrow && !wide) continue;
      const IeeeVectors named{operation, wide, {}, {}};
      probes.push_back({fmt::format("ieee {}: hard operands, first set", to_string(named)), "ieee",
                        [operation, wide](Backend backend, int device, const auto& take) {
                          const IeeeVectors vectors = ieee_vectors(operation, wide);
                          take(words_stage("result", run_ieee(vectors, backend, device), !wide));
                        }});
    }
}

void add_codecs(std::vector<Probe>& probes) {
  for (const CodecRow& row : codec_table())
    probes.push_back({fmt::format("codec {}: every code of {} block ranges", to_string(row), codec_scales(row).size()),
                      "codecs", [row](Backend backend, int device, const auto& take) {
                        take(words_stage("decoded, encoded", run_codec(row, backend, device), false));
                      }});
}

const StageHash* find(const ProbeHash& probe, const StageHash& like) {
  for (const StageHash& stage : probe.stages)
    if (stage.name == like.name && stage.step == like.step) return &stage;
  return nullptr;
}

// The first difference of one probe, if any.
std::optional<Difference> first_difference(const ProbeHash& got, const ProbeHash& expected) {
  std::optional<Difference> first;
  for (const StageHash& stage : got.stages) {
    const StageHash* other = find(expected, stage);
    // A stage that only one side has is of another version: a fault shows in the stages that led there.
    if (other == nullptr || *other == stage) continue;
    if (first) {
      ++first->other_stages;
      continue;
    }
    first = Difference{got.line, got.family, {}, stage.step, 0, 0, 0, false, 0, 0, 0, stage.elements};
    if (other->elements != stage.elements) continue;
    first->stage = stage.name;
    first->last = stage.elements == 0 ? 0 : stage.elements - 1;
    for (size_t p = 0; p < stage.parts.size() && p < other->parts.size(); ++p) {
      if (stage.parts[p] == other->parts[p]) continue;
      first->first = p * stage.part_elements();
      first->last = std::min(stage.elements, (p + 1) * stage.part_elements()) - 1;
      break;
    }
  }
  return first;
}

}  // namespace

std::vector<Probe> fingerprint_probes() {
  std::vector<Probe> probes;
  add_functions(probes);
  add_operations(probes);
  add_codecs(probes);
  for (const WorkloadRow& row : workload_table())
    probes.push_back({to_string(row), "optimizer", [&row](Backend backend, int device, const auto& take) {
                        run_workload(row, backend, device, take);
                      }});
  for (const LayerRow& row : layer_table())
    probes.push_back({to_string(row), "layer", [&row](Backend backend, int device, const auto& take) {
                        run_layer(row, backend, device, take);
                      }});
  return probes;
}

uint64_t Fingerprint::hash() const {
  uint64_t sum = 0;
  for (const ProbeHash& probe : probes) {
    uint64_t line = 0;
    for (const char c : probe.line) line = mix64(line + uint8_t(c));
    for (const StageHash& stage : probe.stages) line = mix64(line + stage.hash);
    sum += line;
  }
  return sum;
}

Fingerprint make_fingerprint(const std::vector<Probe>& probes, std::string device_name, Backend backend, int device) {
  Fingerprint out{std::move(device_name), {}, {}};
  for (const Probe& probe : probes) {
    ProbeHash hash{probe.line, probe.family, {}};
    try {
      probe.run(backend, device, [&](Stage&& stage) { hash.stages.push_back(hash_stage(stage)); });
    } catch (const OptionError& e) {
      out.left_out.push_back(fmt::format("'{}': {}", probe.line, e.what()));
      continue;
    }
    out.probes.push_back(std::move(hash));
  }
  return out;
}

Comparison compare(const Fingerprint& got, const Fingerprint& expected) {
  Comparison out;
  for (const ProbeHash& probe : got.probes) {
    const auto other = std::find_if(expected.probes.begin(), expected.probes.end(),
                                    [&](const ProbeHash& p) { return p.line == probe.line; });
    if (other == expected.probes.end()) {
      ++out.only_here;
      continue;
    }
    ++out.compared;
    if (auto difference = first_difference(probe, *other)) out.differences.push_back(std::move(*difference));
  }
  out.only_there = expected.probes.size() - out.compared;
  return out;
}

void locate(Difference& difference, const std::vector<Probe>& probes, Backend got, int got_device, Backend expected,
            int expected_device) {
  const auto probe =
      std::find_if(probes.begin(), probes.end(), [&](const Probe& p) { return p.line == difference.line; });
  if (probe == probes.end() || difference.stage.empty()) return;
  const auto fetch = [&](Backend backend, int device) {
    Stage found;
    probe->run(backend, device, [&](Stage&& stage) {
      if (stage.name == difference.stage && stage.step == difference.step) found = std::move(stage);
    });
    return found;
  };
  const Stage a = fetch(got, got_device), b = fetch(expected, expected_device);
  if (a.bytes.size() != b.bytes.size() || a.element_bytes != b.element_bytes || a.bytes == b.bytes) return;
  const auto width = size_t(a.element_bytes);
  for (size_t i = 0; i * width < a.bytes.size(); ++i) {
    if (std::memcmp(&a.bytes[i * width], &b.bytes[i * width], width) == 0) continue;
    if (difference.different++ > 0) continue;
    difference.exact = true;
    difference.first = difference.last = i;
    std::memcpy(&difference.got, &a.bytes[i * width], std::min<size_t>(width, 8));
    std::memcpy(&difference.expected, &b.bytes[i * width], std::min<size_t>(width, 8));
  }
}

}  // namespace plumbline::diagnostics
