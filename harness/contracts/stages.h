// The contracts of single stages, in the order of the computation; derive_bounds puts them together.
#pragma once
#include "harness/contracts/bounds.h"

namespace plumbline::harness {

// What every stage reads: the case, the subject's arithmetic, the reference's step and what it started from.
struct StageContext {
  const Problem& problem;
  const Arithmetic& arithmetic;
  const StateBefore& before;
  const reference::StepRecord& record;
  const DecodedSlot* momentum;  // as stored in this step

  // fl(g^2), g the product of a gradient and a multiplier: exact no longer unless that is a power of two.
  int square() const;
  double momentum_error() const;  // largest relative error of the subject's decoding of it
};

// An average of squares as it divides, and its bound: raised to what the numerator's codes resolve, or as it is.
const reference::Tensor& used(const reference::StepRecord& record, const StepBounds& bounds, Slot slot);
const reference::Tensor& used_bound(const StepBounds& bounds, Slot slot);
// From the bound of an average and the record's resolution.
void bound_used(const StageContext& c, Slot slot, StepBounds& b);

// A factored average with its bounds, as it divides: V^_ij = row_i col_j / mean, the mean that of the average itself.
struct Factors {
  const reference::Tensor &row, &col, &row_bound, &col_bound;
  const reference::Vector& mean;
  const reference::Tensor &mean_row, &mean_row_bound;
  int64_t slices() const { return row.shape[0]; }
  int64_t rows() const { return row.shape[1]; }
  int64_t cols() const { return col.shape[1]; }
  double mean_relative(int64_t slice) const;
};
Factors second_moment_factors(const reference::StepRecord& record, const StepBounds& bounds);
Factors confidence_factors(const reference::StepRecord& record, const StepBounds& bounds);

// A moving average (1-w) old + w sample, all terms non-negative: each part carries the roundings of its own path.
void bound_average(const reference::Tensor& value, const DecodedSlot& old, double old_weight, double new_relative,
                   double old_relative, reference::Tensor& out);

// R and C, or V, of the gradient.
void bound_second_moment(const StageContext& c, StepBounds& b);

// Of sum u^2 / N, absolute. u = x/sqrt(V^), x the numerator off by a relative `numerator_error`.
double folded_norm_error(const StageContext& c, const Factors& f, int square, const reference::Vector& numerator,
                         double numerator_error, const reference::Tensor& update);
double direct_norm_error(const StageContext& c, const StepBounds& b);

// Errors of the clipped update, elementwise, where a momentum is taken of it.
void clipped_update_error(const StageContext& c, const StepBounds& b, reference::Vector& out);
// M = b1 old + c1 x before storage, with x off by `error` (empty: exact).
void bound_momentum(const StageContext& c, Slot slot, const reference::Vector& x, double x_scale,
                    const reference::Vector& error, reference::Tensor& out);
// Row and column averages of (u - M)^2.
void bound_confidence(const StageContext& c, const reference::Vector& clipped_error, StepBounds& b);

// The projected path up to s and sum u^2 / N: bounds of its slots and of channel_scale. Returns the error of the mean
// square.
double bound_projection(const StageContext& c, StepBounds& b);

// Scalars: clip, limiter, bias, step size, keep.
void bound_clip(const StageContext& c, double mean_square_error, StepBounds& b);
void bound_limiter(const StageContext& c, StepBounds& b);
void bound_step_size(const StageContext& c, StepBounds& b);

// p' = keep p - step U
void bound_parameter(const StageContext& c, const reference::Tensor& before, const reference::Tensor& after,
                     StepBounds& b);

}  // namespace plumbline::harness
