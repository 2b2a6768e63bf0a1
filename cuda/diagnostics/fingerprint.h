// The fingerprint of a machine: hashes of every stage of fixed work. Two machines that compute alike have the same.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cuda/diagnostics/workload.h"

namespace plumbline::diagnostics {

// A piece of fixed work. Its line says what it is; equal lines are equal work, whatever the version.
struct Probe {
  std::string line;
  std::string family;  // "functions", "ieee", "codecs", "optimizer"
  std::function<void(Backend, int device, const std::function<void(Stage&&)>& take)> run;
};
// Functions, IEEE operations, codecs, the rows of the workload, and layers in eight bits.
std::vector<Probe> fingerprint_probes();

struct ProbeHash {
  std::string line, family;
  std::vector<StageHash> stages;  // in the order of the computation
};
struct Fingerprint {
  std::string device;  // what it was made on
  std::vector<ProbeHash> probes;
  std::vector<std::string> left_out;  // work that the backend does not take, and why
  uint64_t hash() const;              // of the work and its stages
};
Fingerprint make_fingerprint(const std::vector<Probe>& probes, std::string device_name, Backend backend, int device);

// Where two fingerprints part: the first stage of one probe that differs.
struct Difference {
  std::string line, family;
  std::string stage;  // empty: the two have different stages here
  int step = 0;
  uint64_t first = 0, last = 0;  // elements among which the first different one is
  uint64_t other_stages = 0;     // stages of this probe that differ beside it
  // Once located:
  bool exact = false;  // `first` is the first different element
  uint64_t got = 0, expected = 0;
  uint64_t different = 0, elements = 0;
};
struct Comparison {
  uint64_t compared = 0;  // probes with the same line in both
  uint64_t only_here = 0, only_there = 0;
  std::vector<Difference> differences;  // one per probe that differs, in order
  // Every piece of work here is in the other, too, with the same bits.
  bool equal() const { return compared > 0 && only_here == 0 && differences.empty(); }
};
Comparison compare(const Fingerprint& got, const Fingerprint& expected);

// Runs the probe of a difference again on both sides and names the element and its bits. Leaves the difference as it is
// where the two now agree.
void locate(Difference& difference, const std::vector<Probe>& probes, Backend got, int got_device, Backend expected,
            int expected_device);

}  // namespace plumbline::diagnostics
