// One step of a moving average: a <- (1-w) a + w b.
#pragma once
#include <cmath>

#include "reference/schedule.h"
#include "reference/tensor.h"

namespace plumbline::reference {

// torch's lerp, which multiplies the difference by the lesser weight.
inline double lerp(double a, double b, const Weights& w) {
  return w.sample < 0.5 ? a + w.sample * (b - a) : b - (b - a) * w.old;
}

// Values are those of the sum; of infinities, what the form makes of them.
template <class Sample>
void update_average(Vector& average, const Sample& sample, const Weights& w, AverageForm form) {
  if (form == AverageForm::sum) {
    average = w.old * average + w.sample * sample;
    return;
  }
  const Vector values = sample;
  const Vector before = average;
  average = w.old * before + w.sample * values;
  if (before.allFinite() && values.allFinite()) return;
  for (int64_t i = 0; i < average.size(); ++i)
    if (!std::isfinite(before[i]) || !std::isfinite(values[i])) average[i] = lerp(before[i], values[i], w);
}

// max(x, floor) in which NaN stays NaN
inline void raise_to(Vector& x, double floor) {
  x = x.unaryExpr([floor](double value) { return value < floor ? floor : value; });
}

}  // namespace plumbline::reference
