// The production optimizer: Adafactor with quantized state, fused kernels on a GPU or their twin on the host.
//
// A program describes its tensors once and then calls step(). Results are the same bits on every run, stream, GPU
// model and on the host twin.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/api/options.h"

namespace plumbline {

enum class Backend : uint8_t { host, cuda, emulator };

struct TensorSpec {
  std::string name;  // for messages and exported state
  std::vector<int64_t>
      shape;  // >= 1 axes, every extent >= 1; of two or more, the last two are factored, the rest is a batch
  Type parameter = Type::float32;
  Type gradient = Type::float32;
  int group = 0;  // index into the groups given at construction
};

// Row-major, contiguous, 16-byte aligned, in the memory of the backend's device; gradient is read, parameter updated.
struct TensorPointers {
  void* parameter = nullptr;
  const void* gradient = nullptr;
};

// cudaStream_t on the GPU; null (and ignored) elsewhere.
using Stream = void*;

// Where the library takes its memory: one arena for state, one for scratch, at construction and never later.
class MemoryResource {
 public:
  virtual ~MemoryResource() = default;
  virtual void* allocate(size_t bytes) = 0;  // 256-byte aligned; throws std::bad_alloc
  virtual void deallocate(void* memory, size_t bytes) noexcept = 0;
};

// One slot of one tensor as it is stored.
struct RawSlot {
  std::string name;  // "row", "col", "second_moment", "parameter_norm"
  Storage storage = Storage::fp32;
  int64_t count = 0;              // values in the slot
  int64_t matrix = 0;             // values per matrix of the batch; blocks never cross it
  int block = 0;                  // values per block of a quantized slot
  std::vector<std::byte> values;  // fp32: float32 values; else one code per value; parameter_norm: one float64
  std::vector<float> scales;      // al8, log_u8: lo, r per block; linear_u8: scale per block; else empty
};

// What the last step of one tensor computed on the way, for verification; empty vectors where the path has none.
struct StepRecord {
  int64_t step = 0;  // t of that step (also when it was skipped)
  bool skipped = false;
  int64_t nonfinite = 0;             // gradient elements that fell under the non-finite policy
  double parameter_rms = 0;          // RMS(p) before the step; NaN where the options need none
  double update_rms = 0;             // RMS(u) before the clip; NaN with the clip off
  double clip = 1;                   // max(1, RMS(u)/d)
  double step_size = 0;              // alpha_t
  float keep = 1;                    // 1 - weight_decay * k
  std::vector<float> row, col;       // (slices x m), (slices x n): the averages as this step used them, unquantized
  std::vector<float> second_moment;  // full path: V likewise; only with record_second_moment
};

struct OptimizerConfig {
  Backend backend = Backend::host;
  int device = 0;
  MemoryResource* memory = nullptr;   // null: cudaMalloc on the GPU, aligned new elsewhere
  bool record_second_moment = false;  // verification: keep the unquantized V of the full path for last_step()
  int threads = 1;                    // host twin: cores to use; cannot change a bit
  uint64_t schedule_seed = 0;         // emulator: which adversarial schedule of threads
};

// How production evaluates its sums and averages: roundings to float32 on the longest path of each expression. A
// verifier derives error bounds from it; tests confirm every number with a scalar that counts roundings.
struct Arithmetic {
  int square = 1;                  // fl(g^2): 1 for float32 gradients, 0 for 16-bit ones (exact)
  int row_additions = 0;           // additions on the longest path of sum_j
  int col_additions = 0;           // additions on the longest path of sum_i
  int average_new = 0;             // after the sum, what the new sample passes: / count, + eps1, w, fused add
  int average_old = 0;             // what the old average passes: (1-w), product, fused add
  int full_new = 0, full_old = 0;  // the same for V, the square not counted
  int inverse_row = 0;             // 1/R_i after R_i
  int weighted_additions = 0;      // fused additions on the longest path of sum_i g^2/R_i
  int row_scale = 0;               // a_i = k / sqrt(R_i): roundings beside R's own and k's
  int col_scale = 0;               // b_j = 1 / sqrt(C_j), likewise
  int step_coefficient = 0;        // k, keep: roundings of a double to float32
  int update = 0;       // after a_i, b_j: x*b, fused multiply-add (without the parameter's own storage rounding)
  int decayed = 0;      // p * keep before the fused add
  int full_update = 0;  // u = g / sqrt(V): roundings beside V's own
  double log2_absolute_ulps = 0;  // deterministic log2: error in ulps of its result
  double exp2_ulps = 0;           // deterministic exp2
  int log_decode =
      0;  // roundings of the exponent (code - 1) * r / 254 + fraction(lo), each relative to (code - 1) * r / 254 + 1
  int linear_decode = 0;  // roundings of code / 255 * scale
};

class Optimizer {
 public:
  // Throws OptionError for options, shapes or combinations that are not valid, CudaError for a device that is absent or
  // too old (compute capability < 7.0), std::bad_alloc when memory runs out; nothing stays allocated after a throw.
  Optimizer(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config);
  ~Optimizer();
  Optimizer(Optimizer&&) noexcept;
  Optimizer& operator=(Optimizer&&) noexcept;

  // One step of every tensor; pointers in the order of the specs. Only enqueues work: no wait, no allocation, no copy
  // to the host, so it can be captured in a CUDA graph. Throws OptionError, before anything changes, for a null or
  // misaligned pointer or a wrong count.
  void step(std::span<const TensorPointers> pointers, Stream stream = nullptr);
  // Sets a group's lr for the following steps, in stream order. Throws OptionError when out of range.
  void set_lr(double lr, Stream stream = nullptr, int group = 0);

  size_t state_bytes() const;    // bytes of optimizer state, exact
  size_t scratch_bytes() const;  // bytes of scratch, exact

  // The following wait for the stream.
  int64_t steps_taken(int tensor, Stream stream = nullptr) const;              // t
  std::vector<RawSlot> export_raw(int tensor, Stream stream = nullptr) const;  // bit-exact state
  void import_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream = nullptr);
  std::vector<float> export_decoded(int tensor, std::string_view slot, Stream stream = nullptr) const;
  StepRecord last_step(int tensor, Stream stream = nullptr) const;

  // The arithmetic description for one tensor.
  Arithmetic arithmetic(int tensor) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Why the backend cannot run here ("no CUDA device", "compute capability 6.1 < 7.0", "built without CUDA"); empty: it
// can.
std::string backend_unavailable(Backend backend, int device = 0);

}  // namespace plumbline
