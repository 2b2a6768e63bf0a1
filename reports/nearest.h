// How near each quantity came to its bound: one row a quantity.
#pragma once
#include <vector>

#include "reports/summary.h"

namespace plumbline::reports {

struct Nearest {
  harness::Quantity quantity{};
  uint64_t elements = 0;  // elements and steps compared
  double typical = 0;     // median error/bound
  double ratio = 0;       // largest error/bound
  double left() const { return 1 - ratio; }
  double ulps = 0;  // error of the worst element in float32 ulps of what was expected; NaN where that says nothing
  harness::WorstElement worst;
  std::string line;
};

// Over all sizes of tensors, what has least left first. Quantities that are compared for equality are left out where
// they are equal everywhere. `roundings`: those whose error is one rounding to a code, else the others.
std::vector<Nearest> nearest(const Summary& summary, bool roundings);

}  // namespace plumbline::reports
