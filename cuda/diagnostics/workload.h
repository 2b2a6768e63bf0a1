// The fixed work whose bits make a fingerprint: a table of small trainings that between them use every kernel family,
// storage and type. A new option joins by a row. A row is text alone, and fixes every bit of its data and result.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/api/optimizer.h"

namespace plumbline::diagnostics {

enum class Regime : uint8_t {
  ordinary,  // exponents over 16 octaves, zeros, now and then a subnormal
  wide,      // gradients over 60 octaves
  hostile,   // with NaN, infinities and numbers above the gradient limit
};

struct WorkloadRow {
  std::string_view name;   // what it is about
  std::string_view shape;  // "3x64x300"
  Type parameter, gradient;
  Regime regime;
  int steps;
  std::string_view options;  // "storage=al8 clip=0.5", by the library's option table
};
std::span<const WorkloadRow> workload_table();
// The row as one line: its identity among programs of different versions.
std::string to_string(const WorkloadRow& row);

// What one step left behind, quantity by quantity in the order of the computation.
struct Stage {
  std::string name;  // "row", "clip", "row scales", "row values", "parameter", ...
  int step = 0;
  int element_bytes = 4;
  std::vector<std::byte> bytes;
};
// Runs a row; the stages of every step go to `take`. Throws CudaError, or OptionError for a row that this library does
// not know.
void run_workload(const WorkloadRow& row, Backend backend, int device, const std::function<void(Stage&&)>& take);

// Bits of a stage: their hash, and those of its 16 (or fewer) parts, so that a difference can be placed from hashes
// alone.
struct StageHash {
  std::string name;
  int step = 0;
  int element_bytes = 4;
  uint64_t elements = 0;
  uint64_t hash = 0;
  std::vector<uint32_t> parts;  // one for part_elements() each; empty for a stage of one part
  bool operator==(const StageHash&) const = default;
  uint64_t part_elements() const;
};
StageHash hash_stage(const Stage& stage);

}  // namespace plumbline::diagnostics
