// One step of a factored tensor on the host, in parts: sweep, finish, a second sweep with momentum of the update,
// apply.
#pragma once
#include "cuda/twin/gradient.h"
#include "cuda/twin/momentum.h"
#include "cuda/twin/parameter.h"
#include "cuda/twin/steps.h"

namespace plumbline::twin {

// A factored average as a sweep forms it: that of the second moment, or CAME's confidence.
struct FactoredAverage {
  float *row, *col;  // (slices x rows), (slices x cols)
  float* row_used;   // likewise: row as it divides
  float* scale;      // (slices x pitch): 1/sqrt(col), col as it divides
  double* mean;      // (slices) of row
  double* norm;      // (slices): sum of squares of what they precondition
  core::Weights<float> weights;
  bool resolves;  // divides by no less than the steps of momentum: core/resolution.h
};

// One step's view of the tensor: pointers into the arenas.
struct FactoredPass {
  const TensorPlan& t;
  const TensorPointers& p;
  const Arenas& arenas;
  Workers& workers;
  core::StepScalars& s;
  Gradient gradient = {p.gradient, t.gradient, s.multiplier};
  Parameter parameter = {t, p.parameter, uint32_t(s.step - 1)};
  Momentum momentum = {t, SlotKind::momentum, arenas, s};
  float* partial_col = core::at<float>(arenas.scratch, t.partial_col);
  float* partial_weighted = core::at<float>(arenas.scratch, t.partial_weighted);
  float* partial_resolution = core::at<float>(arenas.scratch, t.partial_resolution);
  double* parameter_sums = core::at<double>(arenas.scratch, t.parameter_sums);
  double* norm_tiles = core::at<double>(arenas.scratch, t.norm_tiles);
  double* slice_mean = core::at<double>(arenas.scratch, t.slice_sums);
  double* slice_update = slice_mean + t.slices;
  double* slice_parameter = slice_update + t.slices;
  double* slice_confidence = slice_parameter + t.slices;
  double* slice_momentum = slice_confidence + t.slices;

  FactoredAverage moment() const {
    return {core::at<float>(arenas.scratch, t.row),
            core::at<float>(arenas.scratch, t.col),
            core::at<float>(arenas.scratch, t.row_used),
            core::at<float>(arenas.scratch, t.col_scale),
            slice_mean,
            slice_update,
            s.weights,
            t.resolves_moment()};
  }
  FactoredAverage confidence() const {
    return {core::at<float>(arenas.scratch, t.confidence_row),
            core::at<float>(arenas.scratch, t.confidence_col),
            core::at<float>(arenas.scratch, t.confidence_row_used),
            core::at<float>(arenas.scratch, t.confidence_scale),
            slice_confidence,
            slice_momentum,
            s.confidence,
            t.resolves_confidence()};
  }
  // Element of a slice's row, and where momentum keeps that row.
  int64_t element(int64_t slice, int64_t row) const { return (slice * t.rows + row) * t.cols; }
  SlotRange place(int64_t slice, int64_t row) const { return {slice, row, 0, t.cols}; }
  // Row of the gradient for the update: the count of non-finite elements is known.
  const float* final_gradient(int64_t slice, int64_t row, float* buffer) const {
    const bool zero =
        t.nonfinite == Nonfinite::zero && s.nonfinite > 0 && !core::is_mutant(core::Mutant::zeroed_in_sums_only);
    return zero ? gradient.read_zeroed(element(slice, row), t.cols, buffer)
                : gradient.read(element(slice, row), t.cols, buffer);
  }
};

// Sums over the columns of a strip: `c` and `w` of cols values, of the squares and of weighted ones; `r` of every
// eighth column's (b q_ij)^2, where the average resolves.
struct StripSums {
  float *c, *w, *r;
};
using StripSweep = void (*)(const FactoredPass&, const FactoredAverage&, int64_t slice, int64_t strip, const StripSums&,
                            Workspace&);
// 1/R_i of row i, whose R_i is known and whose momentum is stored; its steps go into the column sums.
float resolve_row(const FactoredPass& x, const FactoredAverage& average, int64_t slice, int64_t row,
                  const StripSums& sums, Workspace& space);
// Sweeps every strip, then forms the columns' averages: a chunk of slices at a time; then mean and norm of each slice.
void sweep_average(const FactoredPass& x, const FactoredAverage& average, StripSweep strip);

// Momentum of the clipped update of one row, stored and decoded to space.momentum.
void average_update(const FactoredPass& x, int64_t slice, int64_t row, Workspace& space);
// The same for every row with what the limiter needs of its norm; with CAME its confidence.
void sweep_confidence(const FactoredPass& x);
void sweep_momentum(const FactoredPass& x);

}  // namespace plumbline::twin
