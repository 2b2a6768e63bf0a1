// The tests that compare two reports.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace plumbline::reports {

struct RankSum {
  double superiority = 0.5;  // P(b > a) + P(b = a)/2
  double p = 1;              // two-sided
};
// Mann-Whitney test of two samples given as counts over the same ordered classes; ties are corrected for, the normal
// approximation has a continuity correction [Lehmann, Nonparametrics, 1975, ch. 1].
RankSum rank_sum(std::span<const uint64_t> a, std::span<const uint64_t> b);

// Holm's step-down correction: adjusted p-values in the order given.
std::vector<double> holm(std::span<const double> p);

}  // namespace plumbline::reports
