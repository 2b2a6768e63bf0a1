// What the metadata of a recorded run say of it, in the words of format optimizer-trace/1 and /2 (FORMAT.md).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/format.h"

namespace plumbline::harness {

// How a parameter is kept between steps.
enum class ParameterStorage : uint8_t {
  nearest,      // the result rounded to nearest
  stochastic,   // up or down with the probability that makes the mean right
  compensated,  // what rounding lost is kept beside it and added in the next step        [Kahan 1965]
  master,       // the recorded parameter is a rounded copy of one in float32
  split,        // it and a correction of eight bits make the number that is stepped      [FlashOptim]
};
const char* to_string(ParameterStorage storage);

// What a run says of the arithmetic that made it. Errors in ulps of float32.
struct Assumptions {
  std::optional<DType> results{};       // elementwise results; none: the widest type of a tensor's parameters and state
  bool flushed = false;                 // subnormal results may become zero
  std::optional<DType> accumulation{};  // sums; none: as results, at least float32
  std::optional<DType> hyperparameters{};  // none: float64, or else float32
  double rsqrt_ulps = 2, division_ulps = 0.5, exp2_ulps = 2, log2_ulps = 1;
  bool operator==(const Assumptions&) const = default;
};

enum class StepClock : uint8_t { tensor, run };  // whose steps are counted: each tensor's own, or the run's

class RunHeader {
 public:
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;  // of one without axes: {1}
    std::string regime;
    int64_t group = 0;
    int64_t steps_before = 0;      // taken before the recording began
    std::vector<int64_t> skipped;  // steps that this tensor alone did not take
    ParameterStorage storage = ParameterStorage::nearest;
    std::string error;   // what is wrong with its entry; nothing else of it is then meant
    bool empty() const;  // no element
  };

  // Throws InputError "<file>: ..." for a word that is missing or not what it should be; what concerns one tensor alone
  // is that tensor's error.
  RunHeader(const std::string& file, const std::map<std::string, std::string>& metadata);

  int version() const { return version_; }
  const std::string& peer() const { return peer_; }
  const std::string& package() const { return package_; }  // empty: not said
  const std::string& release() const { return release_; }  // of the package: "0.4.6"; empty: not said
  const std::string& path() const { return path_; }        // "python", "cuda", ...; empty: not said
  const std::vector<std::string>& defects() const { return defects_; }
  const std::string& codecs() const { return codecs_; }  // JSON: slot -> codec; "{}" where none is said
  const Assumptions& assumptions() const { return assumptions_; }
  StepClock clock() const { return clock_; }
  int64_t steps() const { return steps_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  bool skipped(const Tensor& tensor, int64_t t) const;

  // Options in force in step t (from 1) for a group, as a JSON object under the peer's own names.
  std::string options(int64_t group, int64_t t) const;
  // Step t's differ from those of the step before.
  bool options_change(int64_t group, int64_t t) const;

 private:
  struct Change {
    int64_t step;
    std::optional<int64_t> group;  // none: every group
    std::string options;
  };

  int version_ = 1;
  std::string peer_, package_, release_, path_, options_, codecs_ = "{}";
  std::vector<std::string> defects_, groups_;
  std::vector<Change> changes_;  // in the order of their steps
  std::vector<int64_t> skipped_;
  Assumptions assumptions_;
  StepClock clock_ = StepClock::tensor;
  int64_t steps_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace plumbline::harness
