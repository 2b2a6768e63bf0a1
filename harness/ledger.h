// Global comparison: drift of the subject from the free-running double-precision reference, and a ledger of where it
// came from.
//
// State:      d_t = (1 - w) d_{t-1} + i_t + q_t + f_t, with i_t the difference of what is averaged (of the update and
//             its residual only: gradients are the same), q_t what storing changed and f_t rounding within its
//             contract. The ledger adds up I_t and Q_t likewise, and Phi_t = (1 - w) Phi_{t-1} + e_t; |d_t - I_t - Q_t|
//             <= Phi_t is judged.
// Parameters: |p^ - p| <= D_t = |keep| D_{t-1} + (what the drift of state and parameters can do to u, clip, alpha,
// keep)
//             + e_t + storage rounding. With momentum, limiter or projection, where that says little, the difference
//             of updates i_t is measured instead, between the reference from the subject's state and the one that
//             runs on: |p^ - p - I_t| <= |keep| Phi_{t-1} + e_t + storage rounding.
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
  std::span<const float> unquantized;         // as the step used it, before coding; empty where it is not shown
  const reference::Tensor* local = nullptr;   // the reference's value before storage, from the subject's own state
  bool exact = false;                         // stored as it is
};

class Ledger {
 public:
  Ledger(const Problem& problem, const reference::Tensor& initial_parameter);

  // After the subject's step t on this gradient; `local` are the bounds of that step from the subject's own state.
  // `local_parameter` is the reference's from there, before it is stored. Judges what is shown; appends to `drift`
  // where there is one.
  void step(int64_t t, const reference::Tensor& gradient, const StepBounds& local, std::span<const SlotView> slots,
            const reference::Tensor* local_parameter, std::span<const std::byte> parameter,
            std::span<QuantityJudge> judges, std::vector<DriftPoint>* drift);

 private:
  struct SlotLedger {
    reference::Slot slot{};
    reference::Vector quantization;  // Q
    reference::Vector inputs;        // I; empty: the same on both sides
    reference::Vector stored;        // the subject's, after the last step
    reference::Vector rounding;      // Phi
    reference::Vector before;        // the reference's value before the step
    reference::Vector factor;        // the step's value and the reference's lie within this factor of each other
    reference::Vector deviation;     // and within this distance
    reference::Vector floor;         // both are at least this: the new sample's part
  };
  void step_slot(int64_t t, SlotLedger& s, const SlotView& view, const reference::Vector& e,
                 std::span<QuantityJudge> judges, std::vector<DriftPoint>* drift);
  double old_weight(reference::Slot slot) const;
  void bound_parameter(const StepBounds& local);
  void measure_parameter(const StepBounds& local, const reference::Tensor& local_parameter);
  reference::Vector update_factor() const;

  const Problem& problem_;
  reference::Optimizer reference_;
  reference::StepRecord record_;
  reference::Tensor parameter_;  // of the reference
  reference::Vector parameter_before_;
  reference::Vector parameter_bound_;   // D, or Phi beside measured inputs
  bool measured_;                       // inputs of the parameter are measured
  reference::Vector parameter_inputs_;  // I
  reference::Vector got_before_;        // the subject's parameter before the step
  std::vector<SlotLedger> slots_;
  bool poisoned_ = false;  // a NaN went into the state: a block of codes spreads it, the reference does not
};

}  // namespace plumbline::harness
