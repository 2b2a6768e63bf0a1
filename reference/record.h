// What one step of the reference computed on the way, by name; transforms fill in what is theirs. A verifier turns
// these into bounds and compares them with what a subject shows. Fields that no transform of the chain computes stay as
// they are here.
#pragma once
#include <array>
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
  double step_size = kNone;      // alpha_t, without bias correction
  double keep = 1;               // 1 - weight_decay * k
  Tensor row;                    // (slices, m): R after the step
  Tensor col;                    // (slices, n): C
  Vector row_mean;               // (slices): mean_i(R)
  Tensor second_moment;          // full path: V
  bool keep_gradient = true;     // set by the caller: false leaves `gradient` empty and saves a copy
  Tensor gradient;               // g as the statistics saw it (policy and sign applied)
  Tensor momentum;               // M before storage
  Tensor update;                 // u = x / sqrt(V^) before the clip; projected: s (.) g
  double update_rms = kNone;     // RMS(u)
  double clip = 1;               // max(1, RMS(u)/d)
  Tensor confidence_row;         // (slices, m): row averages of (u - M)^2
  Tensor confidence_col;         // (slices, n)
  Vector confidence_mean;        // (slices): mean of the row averages
  Tensor guided;                 // M / sqrt(S^)
  double update_norm = kNone;    // nu, before the limiter
  double limiter = 1;            // l
  double bias = 1;               // sqrt(1 - W_t)/(1 - beta1^t)
  Tensor low_rank_gradient;      // G_low
  Tensor low_rank_momentum;      // of G_low, before storage
  Tensor low_rank_second_moment;
  Tensor low_rank_row, low_rank_col;
  Vector low_rank_mean;  // (1): mean of low_rank_row
  // What row, col, ... are raised to where they divide a numerator stored in steps; else empty.
  Tensor row_resolution, col_resolution, second_moment_resolution;
  Tensor confidence_row_resolution, confidence_col_resolution;
  Tensor low_rank_row_resolution, low_rank_col_resolution, low_rank_second_moment_resolution;
  Tensor normalised;     // N_low
  Tensor channel_scale;  // s per channel, or (1) for the tensor

  static constexpr int kTensors = 24, kVectors = 3;
  static const std::array<Tensor StepRecord::*, kTensors>& tensors();
  static const std::array<Vector StepRecord::*, kVectors>& vectors();
};

}  // namespace plumbline::reference
