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

// One slot of one tensor as it is stored. Slots of a tensor, by path (m x n the matrix, batch of `slices`):
//   factored   row (slices x m), col (slices x n); with beta1 momentum (slices x m x n); with beta3 confidence_row and
//              confidence_col as row and col
//   full       second_moment, with beta1 momentum: (slices x m n), a slice in one row
//   projected  low_rank_second_moment, or low_rank_row and low_rank_col; with beta1 low_rank_momentum: of the shape
//              (m, r), or (r, n) where m < n
//   any        parameter_norm where it is carried, previous_norm with a limiter: one float64
struct RawSlot {
  std::string name;
  Storage storage = Storage::fp32;
  Rounding rounding = Rounding::nearest;
  uint32_t writes = 0;  // of the slot so far: with the place of a value it determines the random part of its code
  int64_t count = 0;    // values in the slot
  int64_t matrix = 0;   // values per matrix of the batch
  int64_t row = 0;      // values per row, which starts on a byte; blocks never cross it. Second moments: the matrix
  int block = 0;        // values per block of a quantized slot
  // fp32: float32 values; bf16: their upper halves; al16: 2-byte codes; uf4: two signed codes a byte, the first in the
  // high nibble; else one code a byte (uf8: signed); float64 of a norm. Little endian.
  std::vector<std::byte> values;
  std::vector<float> scales;  // logarithmic codes: lo, r per block; linear_u8, uf8, uf4: scale per block; else empty
};

// What the last step of one tensor computed on the way, for verification; empty vectors where the path has none. A
// skipped step has step, skipped and nonfinite alone.
struct StepRecord {
  int64_t step = 0;  // t of that step (also when it was skipped)
  bool skipped = false;
  int64_t nonfinite = 0;     // gradient elements that fell under the non-finite policy
  double parameter_rms = 0;  // RMS(p) before the step; NaN where the options need none
  double update_rms = 0;     // RMS(u) before the clip; NaN where neither the clip nor a limiter of u needs it
  double clip = 1;           // max(1, RMS(u)/d)
  double step_size = 0;      // alpha_t, without bias correction
  double bias = 1;           // its bias correction
  double update_norm = 0;    // norm that the limiter sees: after clip, momentum and confidence; NaN without a limiter
  double limiter = 1;        // its divisor l
  float keep = 1;            // 1 - weight_decay * k
  // As this step used them, before they became codes. Momentum is used as it is stored: see its slot.
  std::vector<float> row, col;                        // (slices x m), (slices x n): R, C
  std::vector<float> confidence_row, confidence_col;  // likewise: averages of (u - M)^2
  std::vector<float> low_rank_gradient;               // projected gradient, (m x r) or (r x n)
  std::vector<float> low_rank_row, low_rank_col;      // its factored second moment
  std::vector<float> channel_scale;                   // s (channels), or one by tensor
  // only with record_second_moment
  std::vector<float> second_moment;                // full path: V
  std::vector<float> low_rank_second_moment;       // unfactored second moment of the projected gradient
  std::vector<float> momentum, low_rank_momentum;  // beta1 M + (1 - beta1) x before it became codes
};

struct OptimizerConfig {
  Backend backend = Backend::host;
  int device = 0;
  MemoryResource* memory = nullptr;   // null: cudaMalloc on the GPU, aligned new elsewhere
  bool record_second_moment = false;  // verification: keep what StepRecord shows of whole tensors
  int threads = 1;                    // host twin: cores to use; cannot change a bit
  uint64_t schedule_seed = 0;         // emulator: which adversarial schedule of threads
};

// How production evaluates its sums and averages: roundings to float32 on the longest path of each expression. A
// verifier derives error bounds from it; tests confirm every number with a scalar that counts roundings. A field is 0
// where the tensor's path does not have its expression.
struct Arithmetic {
  int square = 1;                  // fl(g^2): 1 for float32 gradients, 0 for 16-bit ones (exact); projected: of G_low
  int momentum_square = 0;         // fl(M^2) in the weighted sums of M: 1
  int row_additions = 0;           // additions on the longest path of sum_j; projected: of G_low^2 (CAME: as of g^2)
  int col_additions = 0;           // additions on the longest path of sum_i, likewise
  int average_new = 0;             // after the sum, what the new sample passes: / count, + eps1, w, fused add
  int average_old = 0;             // what the old average passes: (1-w), product, fused add
  int full_new = 0, full_old = 0;  // the same for V (projected: of G_low), the square not counted
  int inverse_row = 0;             // 1/R_i after R_i
  int weighted_additions = 0;      // fused additions on the longest path of sum_i x^2/R_i, x = g or M
  int row_scale = 0;               // a_i = k / sqrt(R_i): roundings beside R's own and k's
  int col_scale = 0;               // b_j = 1 / sqrt(C_j), likewise
  int step_coefficient = 0;        // k, k', step, e_c, 1/clip, keep: roundings of a double to float32
  int update = 0;   // what is subtracted: factored x*b after a_i, b_j (none with momentum of the update alone), fused
                    // add (without the parameter's own storage rounding)
  int decayed = 0;  // p * keep before the fused add
  int full_update = 0;  // u = x / sqrt(V): roundings beside V's own
  // momentum before it is stored: fma(c1, x, b1 M)
  int momentum_new = 0;     // what c1 x passes: c1, fused add
  int momentum_old = 0;     // what b1 M passes: b1, product, fused add
  int clipped_update = 0;   // u_c: after a'_i, b_j two products; full path after u the product by 1/clip
  int residual = 0;         // u_c - M: the difference, an error relative to it
  int residual_square = 0;  // and its square
  // projected
  int projected_additions = 0;  // double roundings (2^-53) on the longest path of the sum of entry g, and its unit
  int low_rank_gradient = 0;    // to float32
  int low_rank_update =
      0;                  // N = x / (sqrt(V) + eps), x / (sqrt(R) sqrt(C)/sqrt(mean R) + eps): beside V's, R's, C's own
  int channel_scale = 0;  // s: a double to float32
  double log2_absolute_ulps = 0;  // deterministic log2: error in ulps of its result
  double exp2_ulps = 0;           // deterministic exp2
  int log_decode =
      0;  // roundings of the exponent (code - 1) * r / 254 + fraction(lo), each relative to (code - 1) * r / 254 + 1
  int linear_decode = 0;    // roundings of code / 255 * scale
  int dither_exponent = 0;  // one more of the exponent where it is dithered, relative to the code
  int dither_factor = 0;    // roundings of the factor a/sinh a and of the product by it
  int uniform_encode = 0;   // x (H/scale): quotient, product; with dither one more, of the sum with delta
  int uniform_decode = 0;   // (code/H) scale: quotient, product
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
  // Every gradient is multiplied by this float32 in the following steps, in stream order: 1/scale of a scaled loss.
  // Throws OptionError when it is not positive and finite.
  void set_gradient_multiplier(float multiplier, Stream stream = nullptr);

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
