// A linear layer in eight bits. Mode int8 (W8A8): activations are quantized per token, weights per output channel, the
// product is exact in int32 and leaves through a fused epilogue. Mode fp8: the weight stays E4M3 and is dequantized on
// the fly. Up to 16 tokens multiply by the dequantized weight in either mode. cuda/linear/arithmetic.h gives every
// rounding; results are the same bits on every run, GPU and on the host twin.
//
// Values that are not finite: a token with one (mode int8, more than 16 tokens) becomes NaN in every output and
// touches no other token; elsewhere they propagate as in IEEE arithmetic. An output channel whose weight holds one
// becomes NaN likewise when it is quantized.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/api/optimizer.h"
#include "cuda/linear/fault.h"

namespace plumbline::linear {

enum class Mode : uint8_t { int8, fp8 };
// Of an FP8 weight: one scale, one an output channel, or one a block of inputs of an output channel.
enum class ScaleKind : uint8_t { tensor, channel, block };

struct LayerSpec {
  int64_t inputs = 0, outputs = 0;  // >= 1; in mode int8 at most 132,104 inputs: the accumulator is exact up to there
  Mode mode = Mode::int8;
  Type type = Type::bfloat16;  // of x, y, bias and both gradients
  bool bias = false;
  int64_t max_tokens = 1;  // of one call: scratch is taken for as many
};

// A weight in E4M3: outputs x inputs codes and float32 scales.
struct Fp8Weight {
  const uint8_t* codes = nullptr;
  ScaleKind kind = ScaleKind::channel;
  const float* scales = nullptr;
  std::vector<int64_t> scale_shape;  // tensor: {} or {1}; channel: {outputs} (, 1); block: {outputs, blocks} (, 1)
};

struct LayerConfig {
  Backend backend = Backend::host;
  int device = 0;
  MemoryResource* memory = nullptr;  // null: cudaMalloc on the GPU, aligned new elsewhere
  uint64_t schedule_seed = 0;        // emulator
  bool record_accumulators = false;  // verification: keep the int32 product (4 bytes an output)
  Fault fault = Fault::none;         // verification: a deliberate one, off the GPU
  bool portable_kernels = false;     // GPU: leave the kernels of one architecture aside; cannot change a bit
};

// How the layer evaluates its float32 sums: roundings on the longest path. A verifier derives error bounds from it.
struct LayerArithmetic {
  int64_t dot = 0;       // of one output of the dot, the bias's addition not counted
  int64_t forward = 0;   // of one output of the matmul over inputs
  int64_t backward = 0;  // over outputs
};

LayerArithmetic arithmetic_of(const LayerSpec& spec);

// Pointers given to a layer lie in its backend's memory; x, y and gradients are row-major, contiguous, 16-byte aligned.
class Layer {
 public:
  // Throws OptionError for a spec that is not valid, CudaError, std::bad_alloc.
  Layer(const LayerSpec& spec, const LayerConfig& config);
  ~Layer();
  Layer(Layer&&) noexcept;
  Layer& operator=(Layer&&) noexcept;

  // The weight, copied or converted into the layer; each throws OptionError for null or misaligned pointers, scales
  // that do not fit, or a source that the mode does not take (fp8 takes E4M3 alone).
  void set_weight(const void* values, Type type, Stream stream = nullptr);  // outputs x inputs
  void set_weight(const Fp8Weight& weight, Stream stream = nullptr);
  void set_weight_codes(const int8_t* codes, const float* scales, Stream stream = nullptr);  // scales: one an output
  void set_bias(const void* bias, Stream stream = nullptr);

  // y (tokens x outputs) = x (tokens x inputs) wᵀ + bias. Only enqueues. Throws OptionError, before anything is
  // written, for a null or misaligned pointer, tokens outside [1, max_tokens], or a layer without a weight.
  void forward(const void* x, int64_t tokens, void* y, Stream stream = nullptr);
  // grad_input (tokens x inputs) = grad_output (tokens x outputs) w, in float32. The weight is dequantized tile by
  // tile.
  void backward_input(const void* grad_output, int64_t tokens, void* grad_input, Stream stream = nullptr);
  // Always throws OptionError: W8A8 does not support weight gradients.
  [[noreturn]] void backward_weight(const void* x, const void* grad_output, int64_t tokens, void* grad_weight);

  size_t weight_bytes() const;   // codes, scales, bias: exact
  size_t scratch_bytes() const;  // codes and scales of max_tokens activations, and accumulators where they are recorded
  // Which kernel multiplies: "wgmma", "mma", "twin".
  const char* product_kernel() const;

  // For verification; these wait for the stream. Of the last forward of more than 16 tokens in mode int8:
  struct Quantized {
    std::vector<int8_t> codes;  // rows x columns
    std::vector<float> scales;  // rows
  };
  Quantized last_activation(Stream stream = nullptr) const;
  std::vector<int32_t> last_accumulators(Stream stream = nullptr) const;  // only with record_accumulators
  Quantized weight(Stream stream = nullptr) const;                        // mode int8

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plumbline::linear
