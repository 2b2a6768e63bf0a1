// How much a soak sees: deliberate faults of every kind, and the share that its checks catch, beside what a comparison
// of the device with itself at a tolerance of 1e-3 would.
#pragma once
#include <string>
#include <vector>

#include "cuda/diagnostics/soak_engine.h"

namespace plumbline::diagnostics {

struct SensitivityRow {
  std::string where;  // "output": a word of a step's result, in memory; "register": a result within the arithmetic
  ChainFault::Kind kind{};
  int amount = 0;  // flip: the bit; relative: k of 2^-k
  uint64_t injected = 0, caught = 0;
  uint64_t caught_by_tolerance = 0;  // output only
  double seconds = 0;                // from fault to verdict, all of them together
};
const char* to_string(ChainFault::Kind kind);

// `clean` are results of the device, `before` what they replaced (equal sizes), `known_hash` the twin's of `clean`.
std::vector<SensitivityRow> measure_sensitivity(SoakEngine& engine, const std::vector<float>& clean,
                                                const std::vector<float>& before, uint64_t known_hash, uint64_t seed,
                                                int each, int threads);

}  // namespace plumbline::diagnostics
