// What one operation of the layer is told; pointers lie in the memory of the device that runs it.
#pragma once
#include "cuda/api/options.h"
#include "cuda/linear/arithmetic.h"
#include "cuda/linear/layer.h"

namespace plumbline::linear {

// A weight as it is stored: rows of `pitch` bytes, one an output channel.
struct StoredWeight {
  const uint8_t* codes = nullptr;
  const float* scales = nullptr;  // int8: one an output; fp8: one, one an output, or `blocks` an output
  bool fp8 = false;
  ScaleKind kind = ScaleKind::channel;
  int32_t block = 0;   // inputs of a block
  int32_t blocks = 0;  // of an output
  int64_t inputs = 0, outputs = 0, pitch = 0;
  Fault fault = Fault::none;
};

// Rows to codes: `rows` x `columns` values of `type`, or of `weight` where that is set.
struct QuantizeTask {
  const void* values = nullptr;
  Type type = Type::float32;
  StoredWeight weight;
  int64_t rows = 0, columns = 0, pitch = 0;
  int8_t* codes = nullptr;  // rows x pitch
  float* scales = nullptr;  // rows
  Fault fault = Fault::none;
};

// y = codes of x times codes of w, int32, with the epilogue of output_of.
struct ProductTask {
  const int8_t* x = nullptr;  // tokens x pitch
  const float* x_scale = nullptr;
  const int8_t* w = nullptr;  // outputs x pitch
  const float* w_scale = nullptr;
  const float* bias = nullptr;
  void* y = nullptr;
  Type type = Type::float32;
  int32_t* accumulators = nullptr;  // verification: tokens x outputs; null: not kept
  int64_t tokens = 0, outputs = 0, pitch = 0;
  int64_t depth = 0;  // inputs to sum over, padding included: the pitch
};

// y = x times the dequantized weight, up to kSmallBatch tokens: the dot of arithmetic.h.
struct DotTask {
  const void* x = nullptr;
  StoredWeight weight;
  const float* bias = nullptr;
  void* y = nullptr;
  Type type = Type::float32;
  int64_t tokens = 0;
};

// The matmul of arithmetic.h. Forward: y (tokens x outputs) = x (tokens x inputs) wᵀ + bias; of a gradient:
// grad_input (tokens x inputs) = grad_output (tokens x outputs) w.
struct MatmulTask {
  const void* a = nullptr;
  StoredWeight weight;
  bool transposed = false;  // forward: the weight's inputs are summed over
  const float* bias = nullptr;
  void* out = nullptr;
  Type type = Type::float32;
  int64_t tokens = 0;
};

}  // namespace plumbline::linear
