// What is judged of a linear layer: anything that takes a problem's inputs and shows what it made of them.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/linear/problem.h"

namespace plumbline::harness {

// Inputs in storage precision: the subject reads the bytes, the reference the same values.
struct LinearInputs {
  std::vector<std::byte> x, grad_output, bias;  // in the problem's type; bias empty: none
  std::vector<std::byte> weight;                // float values, int8 codes or E4M3 codes
  std::vector<float> scales;                    // of codes; of FP8: one, one an output, or one a block
};

struct CodedRows {
  std::vector<int8_t> codes;  // rows x columns
  std::vector<float> scales;  // rows
};

// Optional parts are those that a subject may not show; what it shows is judged.
struct LinearObservation {
  std::vector<std::byte> output, input_gradient;     // in the problem's type
  std::optional<CodedRows> weight;                   // mode int8
  std::optional<CodedRows> activation;               // where activations are quantized
  std::optional<std::vector<int32_t>> accumulators;  // tokens x outputs, likewise
};

// How the subject evaluates its float32 sums: roundings on the longest path (fused multiply-adds and additions).
struct LinearArithmetic {
  int64_t dot = 0, forward = 0, backward = 0;  // up to 16 tokens; more, in mode fp8; of the input gradient
};

class LinearSubject {
 public:
  virtual ~LinearSubject() = default;
  // Why the problem cannot run here; empty when it can.
  virtual std::string cannot_run(const LinearProblem& problem) const = 0;
  // Throws for whatever goes wrong inside, a damaged guard word included.
  virtual LinearObservation run(const LinearProblem& problem, const LinearInputs& inputs) const = 0;
  virtual LinearArithmetic arithmetic(const LinearProblem& problem) const = 0;
};

}  // namespace plumbline::harness
