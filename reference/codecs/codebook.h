// Codes that index a fixed table of levels in [-1, 1] or [0, 1], scaled by the largest magnitude of the block: rivals
// of the storages, none of production's.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reference/codecs/rounding.h"

namespace plumbline::reference {

class Codebook {
 public:
  // `levels` in any order; at least two, one of them of magnitude 1.
  Codebook(std::vector<double> levels, int bits);

  const std::vector<double>& levels() const { return levels_; }  // ascending
  int bits() const { return bits_; }
  double scale_of(std::span<const double> values) const;  // max |v|; 1 for a block of zeros, NaN where not finite
  int encode(double value, double scale) const;           // nearest level, of two as near the lower
  double decode(int code, double scale) const { return levels_[static_cast<size_t>(code)] * scale; }
  // Within half the gap between the two levels around the value.
  Interval reach(double value, double scale) const;

 private:
  std::vector<double> levels_;
  int bits_;
};

// The 8-bit dynamic tree of block-wise optimizers: seven decades 10^-6 ... 1, the decade 10^(i-6) holding the midpoints
// of 2^i (signed, with both signs) or 2^(i+1) (unsigned) even intervals of [0.1, 1]; and 0 and 1.
//                                         [Dettmers 2016, arXiv 1511.04561; Dettmers et al. 2022, arXiv 2110.02861]
Codebook dynamic_tree_signed();
Codebook dynamic_tree_unsigned();
// 4-bit NormalFloat: quantiles of a standard normal, 8 levels above and 7 below an exact 0, each end at 1.
//                                                                              [Dettmers et al. 2023, arXiv 2305.14314]
Codebook normal_float4();
// 4-bit float E2M1: +-{0, 1/2, 1, 3/2, 2, 3, 4, 6}, scaled to end at 1.    [OCP Microscaling Formats 1.0, sec. 5.3.3]
Codebook float4_e2m1();

}  // namespace plumbline::reference
