// Error contracts of one step: how far a float32 evaluation described by `Arithmetic` can be from the real-number
// result. Derivations are in harness/ERRORS.md; every bound is absolute and elementwise.
#pragma once
#include "harness/contracts/arithmetic.h"
#include "harness/contracts/terms.h"
#include "harness/problem.h"
#include "harness/slots.h"
#include "reference/record.h"

namespace plumbline::harness {

// A slot as the reference's codec reads it, and how far the subject's own float32 decoding may be from that (relative;
// empty where nothing is decoded).
struct DecodedSlot {
  reference::Tensor values;
  reference::Tensor relative_error;
  reference::Tensor resolution;  // of a momentum in even codes: their step, element by element; else empty
};

// State as the step found it.
struct StateBefore {
  PerSlot<DecodedSlot> slot;  // empty where the path has none
  double previous_norm = 0;   // nu'
};

struct StepBounds {
  double parameter_rms = 0, update_rms = 0, clip = 0, update_norm = 0, limiter = 0, bias = 0, previous_norm = 0;
  double step_size = 0, keep = 0;
  PerSlot<reference::Tensor> slot;                  // before storage
  PerSlot<reference::Tensor> raised, raised_bound;  // averages as they divide, where they are raised to a resolution
  double least_low_rank = 0;                        // no low-rank second moment is smaller, on either side
  reference::Tensor low_rank_gradient, channel_scale;
  reference::Tensor parameter;  // of the float32 value, before it is rounded to the parameter's type
};

// `record` is the reference's own step from `before`; parameter_before and parameter_after are its parameters.
// `momentum` is what the subject stored of the momentum in this step, which every later stage reads; null where there
// is none.
void derive_bounds(const Problem& problem, const Arithmetic& arithmetic, const StateBefore& before,
                   const reference::StepRecord& record, const DecodedSlot* momentum,
                   const reference::Tensor& parameter_before, const reference::Tensor& parameter_after,
                   StepBounds& bounds);

}  // namespace plumbline::harness
