// A failing case as a folder: case.json (what ran, where, which stage broke, its elements with expected and actual
// bits) and tensors.safetensors (what the failing step read and left, and what the reference says).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "harness/result.h"

namespace plumbline::harness {

// The bits of a value as ElementWindow::type stores it, rounded to it; empty for a type without bits ("count").
std::optional<uint64_t> stored_bits(const std::string& type, double value);
int stored_width(const std::string& type);  // of those, in bits

// "fail-0123456789abcdef": the same for the same case, subject, commit and bits.
std::string bundle_name(const RunDescription& run, const CaseResult& result);

// Writes `folder` whole or not at all; one that is there already stays as it is. The result carries evidence. Throws
// InputError where it cannot be written.
void write_bundle(const std::filesystem::path& folder, const RunDescription& run, const CaseResult& result);

struct Bundle {
  std::string line, subject, commit, machine, reason;
  std::string first_broken;
  int64_t step = 0;
  uint64_t bits = 0;
  Evidence evidence;
};
// Throws InputError naming the file, what is wrong and what was expected.
Bundle read_bundle(const std::filesystem::path& folder);

// What a replay of the bundle's line gave, beside what the bundle holds: array by array, bit by bit. The replay keeps
// evidence of the bundle's step.
struct ReplayComparison {
  std::string text;
  bool reproduced = false;  // every bit of every step
};
ReplayComparison compare_replay(const Bundle& bundle, const CaseResult& replay);

}  // namespace plumbline::harness
