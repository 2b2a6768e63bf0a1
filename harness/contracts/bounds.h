// Error contracts of one step: how far a float32 evaluation described by `Arithmetic` can be from the real-number
// result. Derivations are in harness/ERRORS.md; every bound is absolute and elementwise.
#pragma once
#include "harness/contracts/arithmetic.h"
#include "harness/problem.h"
#include "reference/record.h"

namespace plumbline::harness {

inline constexpr double kUnit = 0x1p-24;        // unit roundoff of float32
inline constexpr double kUnderflow = 0x1p-150;  // largest absolute error of one rounding below the normal range

// k roundings compose to a relative error of at most k u / (1 - k u).
constexpr double gamma(double k) { return k * kUnit / (1 - k * kUnit); }
// (1 + a)(1 + b) - 1
constexpr double compose(double a, double b) { return a + b + a * b; }

// State as the step found it (decoded by the reference's codec), and how far the subject's own decoding may be from
// that.
struct StateBefore {
  reference::Tensor row, col, second_moment;                    // empty where the path has none
  reference::Tensor row_error, col_error, second_moment_error;  // relative; empty: exact
};

struct StepBounds {
  double parameter_rms = 0, update_rms = 0, clip = 0, step_size = 0, keep = 0;
  reference::Tensor row, col, second_moment;
  reference::Tensor parameter;  // of the float32 value, before it is rounded to the parameter's type
  // Relative error of the update u (largest over the tensor's elements), used by global bounds.
  double update_relative = 0;
};

// `record` is the reference's own step from `before`; parameter_before and parameter_after are its parameters.
void derive_bounds(const Problem& problem, const Arithmetic& arithmetic, const StateBefore& before,
                   const reference::StepRecord& record, const reference::Tensor& parameter_before,
                   const reference::Tensor& parameter_after, StepBounds& bounds);

}  // namespace plumbline::harness
