// One drift curve of a recorded training as inline SVG, styled by the page: steps across, a logarithmic scale up.
#pragma once
#include <string>
#include <vector>

#include "harness/result.h"

namespace plumbline::reports {

struct DriftSeries {
  harness::Quantity quantity{};
  std::vector<harness::DriftPoint> points;  // by step
};

// The series of one result, in the order of the quantities.
std::vector<DriftSeries> split_drift(const std::vector<harness::DriftPoint>& points);

// Curves of class "drift", "quantization" and "bound". Zeros and values that are not finite leave gaps.
std::string plot_drift(const DriftSeries& series);

}  // namespace plumbline::reports
