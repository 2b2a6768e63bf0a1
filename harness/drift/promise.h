// What storing may do to an average over many steps, as a promise that does not grow with what was measured.
//
//   Q_t = (1 - w) Q_{t-1} + q_t, q_t what the store of step t changed. Whatever the rounding, |q_t| is at most half a
//   cell of the codes around the value (nearest, dither) or a cell (stochastic): so |Q| is at most what the average
//   keeps of these, ceil(1/w) steps' worth, and nearest does keep the sign. Random roundings have mean 0 on top: a
//   random walk, whose variance is that of its steps, each with (1 - w)^2 kept, and whose sum over values is held
//   against Freedman's inequality [1975]: P(sum Q >= x) <= exp(-x^2/(2(V + b x/3))), V its variance, b its largest
//   step.
#pragma once
#include <limits>
#include <span>

#include "harness/contracts/arithmetic.h"
#include "harness/subject.h"

namespace plumbline::harness {

struct DriftPromise {
  double stored = 0;   // after the last step: |Q| over |x|, norms over the slot, x the exact average
  double allowed = 0;  // the same of the most that |Q| may be
  double expected = std::numeric_limits<double>::quiet_NaN();  // the same of the random walk; nearest: none
  double worst = 0;  // of all values and steps: |Q| over the most that it may be
  double bias = 0;   // of all steps: |sum of Q| over Freedman's bound at kBiasLevel; nearest: 0
  bool kept() const { return worst <= 1 && bias <= 1; }
};
// Per step and slot: of 10^7 of them, one in 10^5 runs may see a false alarm.
inline constexpr double kBiasLevel = 1e-12;

// Follows one slot that keeps codes.
class PromiseMeter {
 public:
  // After a step that kept `old_weight` of the average: the value before coding, what its codes decode to, and the
  // average of a reference that runs on without storage.
  void step(double old_weight, const SlotState& slot, const Arithmetic& arithmetic, uint32_t seed,
            std::span<const float> used, const reference::Vector& stored, const reference::Vector& exact);
  const DriftPromise& result() const { return result_; }

 private:
  reference::Vector moved_, allowed_, variance_;  // Q, and what is promised of it
  double sum_variance_ = 0, largest_step_ = 0;    // of the sum of Q
  double off_ = 0;                                // and its mean: float32 and draws of 16 bits
  DriftPromise result_;
};

}  // namespace plumbline::harness
