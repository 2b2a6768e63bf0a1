// Drift of a recorded training, one curve a quantity.
#pragma once
#include <vector>

#include "harness/result.h"

namespace plumbline::reports {

struct DriftSeries {
  harness::Quantity quantity{};
  std::vector<harness::DriftPoint> points;  // by step
};

// The series of one result, in the order of the quantities.
std::vector<DriftSeries> split_drift(const std::vector<harness::DriftPoint>& points);

}  // namespace plumbline::reports
