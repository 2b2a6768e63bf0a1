// How far a subject of the linear layer may be from the real numbers; derived in harness/linear/ERRORS.md.
#pragma once
#include "harness/linear/data.h"

namespace plumbline::harness {

// A quantity of rows x columns: what it should be, how far it may be, and how far it is likely to be.
struct LinearBound {
  reference::Matrix expected, bound;
  reference::Matrix
      likely;  // six standard deviations, if the signs of quantization errors are independent; empty: none
};

// y = acc s_x s_w + b from the codes and scales that the subject shows.
LinearBound product_bound(const LinearProblem& problem, const reference::QuantizedRows& x,
                          const reference::QuantizedRows& w, const reference::Vector& bias);

// a wᵀ + b (or a w, transposed = false), w = fl(code s) or fl(E4M3 s): float32 sums of `path` roundings on the longest
// path, the bias's addition not counted. `exact`: no operation rounds.
LinearBound sum_bound(const reference::Matrix& a, const reference::Matrix& w, bool transposed,
                      const reference::Vector& bias, int64_t path, bool exact);

// The layer against the unquantized product x wᵀ + b of its inputs. `x`, `w`: codes and scales as the subject shows
// them (they are judged on their own); x null: activations were not quantized. `arithmetic` is what product_bound or
// sum_bound gave for the output.
LinearBound quantization_bound(const LinearProblem& problem, const LinearValues& values,
                               const reference::QuantizedRows* x, const reference::QuantizedRows& w,
                               const LinearBound& arithmetic);

}  // namespace plumbline::harness
