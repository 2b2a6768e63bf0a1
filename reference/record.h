// What one step of the reference computed on the way, by name; transforms fill in what is theirs. A verifier turns
// these into bounds and compares them with what a subject shows. Fields that no transform of the chain computes stay as
// they are here.
#pragma once
#include <cmath>
#include <limits>

#include "reference/tensor.h"

namespace plumbline::reference {

struct StepRecord {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  int64_t step = 0;              // t
  bool skipped = false;          // the non-finite policy left the tensor as it was
  int64_t nonfinite = 0;         // gradient elements under the non-finite policy
  double weight = kNone;         // w_t, weight of the new sample
  double old_weight = kNone;     // 1 - w_t, evaluated without cancellation
  double parameter_rms = kNone;  // RMS(p) before the step
  double rho = kNone;            // rho_t
  double step_size = kNone;      // alpha_t
  double keep = 1;               // 1 - weight_decay * k
  Tensor row;                    // (slices, m): R after the step
  Tensor col;                    // (slices, n): C
  Vector row_mean;               // (slices): mean_i(R)
  Tensor second_moment;          // full path: V
  bool keep_gradient = true;     // set by the caller: false leaves `gradient` empty and saves a copy
  Tensor gradient;               // g as the statistics saw it (policy and sign applied)
  Tensor update;                 // u = x / sqrt(V^) before the clip
  double update_rms = kNone;     // RMS(u)
  double clip = 1;               // max(1, RMS(u)/d)
};

}  // namespace plumbline::reference
