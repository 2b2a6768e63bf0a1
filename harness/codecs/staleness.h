// The share of values that stay behind, predicted from the step of the code, the weight of the average and the spread
// of its samples.
#pragma once
#include "reference/codecs/rounding.h"

namespace plumbline::harness::codecs {

// How the samples of one average are spread: mean of `columns` squares of normals, times `scale`; or a normal of
// standard deviation `scale`.
struct SampleLaw {
  bool squares = true;
  int columns = 1;
  double scale = 1;
  double shift = 0;  // mean of the normal

  double mean() const { return squares ? scale : shift; }
  double variance() const { return squares ? 2 * scale * scale / columns : scale * scale; }
  double below(double x) const;  // distribution function
};

// Standard normal distribution function.
double normal_below(double x);

// A code that stands for the values of `cell` keeps standing at x as long as (1 - w) x + w sample stays in it.
double stay_probability(const SampleLaw& law, double w, double x, reference::Interval cell);

// Variance of the rounding error of one step, `gap` apart codes: dither gap^2/12; stochastic f (1 - f) gap^2 at the
// fraction f that a step of mean size `change` moves, at most gap^2/6, its mean over f; nearest gap^2/12 where it
// moves.
double rounding_variance(reference::Rounding rounding, double gap, double change);

// sum over a window of steps of (1 - w)^(2 k): what independent errors of variance 1 add up to.
double window_variance(double w, int64_t steps);

// Share of values at x that move by less than half the exact change within ceil(1/w) steps. Nearest: those whose code
// never moved, and of the others, as for dither, those whose rounding errors took back half of the change. Stochastic:
// the same on the grid of the codes.
double predict_stale(const SampleLaw& law, double w, double x, reference::Interval cell, reference::Rounding rounding);

}  // namespace plumbline::harness::codecs
