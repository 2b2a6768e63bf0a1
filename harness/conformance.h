// The reference against recorded runs of public optimizers, free-running in double: how far are parameters, increments
// and states after every step?
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/trace.h"

namespace plumbline::harness {

// The largest error of one kind, and where.
struct ConformanceError {
  double norm = 0;     // relative to the norm of the recorded array
  double element = 0;  // largest element's, relative to the largest recorded element
  std::string where;   // "tensor@step" or "tensor/slot@step" of the largest normwise one
};

// What one trace is held to.
struct ConformanceLimits {
  double norm = 1e-14;  // parameters and states, normwise
};

struct ConformanceRow {
  std::string peer, configuration;  // configuration: the file's name without the peer's
  int64_t tensors = 0, steps = 0;
  bool float32 = false;  // recorded in float32: errors are shares of the judge's bounds, limit 1
  ConformanceError parameter, state;
  double increment = 0;  // largest |increment error| / (1e-13 |increment| + 2^-51 |p|)
  std::string increment_where;
  ConformanceLimits limits;
  std::string error{};  // the recording could not be compared; nothing else is then meant
  bool passed() const;
};

// Throws InputError for an unknown peer or option, a missing array, a slot that the dialect does not have, or a NaN
// where the other side has none.
ConformanceRow check_conformance(const Trace& trace);

// Files as given; of a folder, every *.safetensors in it by name, and the index of those that one lists as its parts,
// *.safetensors.index.json, for them. Throws InputError when there is none.
std::vector<std::filesystem::path> trace_files(const std::vector<std::string>& paths);

// The table that a terminal shows.
std::string conformance_table(const std::vector<ConformanceRow>& rows);

}  // namespace plumbline::harness
