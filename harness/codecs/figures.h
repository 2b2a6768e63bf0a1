// What one store of a tensor of state costs: each figure as measured, beside the most that the codec's intervals allow.
#pragma once
#include <cmath>
#include <limits>
#include <span>

#include "harness/codecs/storage.h"

namespace plumbline::harness::codecs {

// The codecs' own arithmetic is double: log2, exp2 and the product with a step lose 252 octaves x 2^-52 at most, an
// average of 5,000 steps as many roundings. Both are far below this.
inline constexpr double kDoubleSlack = 1e-10;

// A measured figure and its rigorous bound; by default one that was not taken.
struct Figure {
  double measured = std::numeric_limits<double>::quiet_NaN();
  double bound = std::numeric_limits<double>::quiet_NaN();
  bool taken = false;

  Figure() = default;
  Figure(double figure, double limit) : measured(figure), bound(limit), taken(true) {}
  bool within() const { return !taken || measured <= bound + std::abs(bound) * kDoubleSlack + 1e-300; }
};

// Relative figures are fractions, not percent. The bounds hold element by element, so also for norms and percentiles.
struct Figures {
  Figure values;            // ||v' - v|| / ||v|| over non-zero v
  Figure update;            // ||u' - u|| / ||u||, u = g/sqrt(max(v, 2^-126)); momentum: of the values, 0 included
  Figure update_eps;        // the same with u = g/(sqrt(v) + 1e-8); not of momentum
  Figure half, p99, worst;  // of |u'/u - 1| over non-zero v: median, 99th percentile, largest; momentum: of
                            // |m' - m|/RMS(m)
  Figure false_zeros;       // share of non-zero values that are read back as 0
  bool within() const;
};

// u = g/sqrt(v): `gradient` has the length of `values`. Momentum has no use for it.
Figures measure(StateKind kind, std::span<const double> values, std::span<const double> gradient,
                const StoredValues& stored);

inline constexpr double kEps = 1e-8;
inline constexpr double kFloorOfRoot = 0x1p-126;
// 1/sqrt(max(v, 2^-126)): where the published study floors it, too.
double inverse_root(double v);

}  // namespace plumbline::harness::codecs
