// A soak: every part of a device at work, round after round, every result against a known answer. What differs is
// logged with all that may explain it, and tried again.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cuda/diagnostics/monitor.h"
#include "cuda/diagnostics/soak_engine.h"

namespace plumbline::diagnostics {

enum class Phase : uint8_t {
  memory,      // all of the buffer read, compared, rewritten
  cache,       // a part that fits the L2 cache, read over and over
  shared,      // all shared memory
  arithmetic,  // float32, float64, integer, registers
  tensor,      // 8-bit matrix products
  bursts,      // arithmetic in bursts of milliseconds, idle in between: swings of power
  optimizer,   // trainings of the fingerprint
};
inline constexpr int kPhases = 7;
const char* to_string(Phase phase);

struct PhaseTotal {
  uint64_t runs = 0, miscompares = 0;
  uint64_t bytes = 0;    // of words compared
  uint64_t results = 0;  // of operations taken into checksums
  double seconds = 0;
};

struct Finding {
  Phase phase{};
  uint64_t round = 0;
  Miscompare word;   // all zero where only a sum was wrong
  std::string what;  // optimizer: the stage; a sum that is wrong without a word
  double at = 0;     // seconds since the soak began
  Reading reading;
  int again_here = -1;       // of kRepeats repetitions on the same GPU, those that failed too; -1: not tried
  int again_elsewhere = -1;  // on another GPU
};

struct SoakPlan {
  static constexpr int kRepeats = 3;
  double seconds = 60;
  uint64_t seed = 1;
  bool bursts_only = false;
  uint64_t stop_after = 1000;   // miscompares
  int stop_temperature = 95;    // degrees Celsius
  std::optional<Phase> inject;  // one deliberate fault in that phase: memory, cache or arithmetic
  uint64_t cache_bytes = 24 << 20;
  int threads = 1;  // of the host, for known answers
};

struct SoakResult {
  std::array<PhaseTotal, kPhases> phases{};
  std::vector<Finding> findings;  // the first hundred
  uint64_t miscompares = 0;
  uint64_t rounds = 0;
  double seconds = 0;
  double copy_rate = 0, memory_rate = 0;  // bytes per second
  uint64_t memory_bytes = 0;
  std::string stopped;  // why before its time; empty: it ran to its end
  Reading first, last;
  int hottest = 0;
  bool good() const { return miscompares == 0 && findings.empty() && stopped.empty(); }
};

// The optimizer phase: runs the round's training; what is wrong with it, or nothing.
using OptimizerCheck = std::function<std::optional<std::string>(uint64_t round)>;
// Between rounds, for progress: seconds done, miscompares. False stops the soak.
using SoakProgress = std::function<bool(const SoakResult& so_far)>;

// `other`: a second GPU for repetitions, or null. A CudaError ends the soak as `stopped`.
SoakResult run_soak(SoakEngine& engine, const Monitor& monitor, const SoakPlan& plan, const OptimizerCheck& optimizer,
                    SoakEngine* other, const SoakProgress& progress);

}  // namespace plumbline::diagnostics
