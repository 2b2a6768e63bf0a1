// Global comparison: drift of the subject from the free-running double-precision reference, and a ledger of where it
// came from.
//
// State:      d_t = (1 - w) d_{t-1} + q_t + f_t, with q_t what storing changed and f_t rounding within its contract.
// The ledger
//             adds up Q_t = (1 - w) Q_{t-1} + q_t and Phi_t = (1 - w) Phi_{t-1} + e_t; |d_t - Q_t| <= Phi_t is judged.
// Parameters: |p^ - p| <= D_t = |keep| D_{t-1} + (what the drift of state and parameters can do to u, clip, alpha,
// keep)
//             + e_t + storage rounding.
#pragma once
#include <span>
#include <vector>

#include "harness/contracts/bounds.h"
#include "harness/judge.h"
#include "reference/optimizer.h"

namespace plumbline::harness {

// One slot of the subject after a step.
struct SlotView {
  reference::Slot slot{};
  const reference::Tensor* stored = nullptr;  // decoded by the reference's codec
  std::span<const float> unquantized;         // as the step used it, before coding
};

class Ledger {
 public:
  Ledger(const Problem& problem, const reference::Tensor& initial_parameter);

  // After the subject's step t on this gradient; `local` are the bounds of that step from the subject's own state.
  // Judges what is shown; appends to `drift` where there is one.
  void step(int64_t t, const reference::Tensor& gradient, const StepBounds& local, std::span<const SlotView> slots,
            std::span<const std::byte> parameter, std::span<QuantityJudge> judges, std::vector<DriftPoint>* drift);

 private:
  struct SlotLedger {
    reference::Slot slot{};
    Quantity quantity{};
    reference::Vector quantization;  // Q
    reference::Vector rounding;      // Phi
    reference::Vector before;        // the reference's value before the step
    reference::Vector factor;        // the step's value and the reference's lie within this factor of each other
    reference::Vector deviation;     // and within this distance
    reference::Vector floor;         // both are at least this: the new sample's part
  };
  void bound_parameter(const StepBounds& local);
  reference::Vector update_factor() const;

  const Problem& problem_;
  reference::Optimizer reference_;
  reference::StepRecord record_;
  reference::Tensor parameter_;  // of the reference
  reference::Vector parameter_before_;
  reference::Vector parameter_bound_;  // D
  std::vector<SlotLedger> slots_;
  bool poisoned_ = false;  // a NaN went into the state: a block of codes spreads it, the reference does not
};

}  // namespace plumbline::harness
