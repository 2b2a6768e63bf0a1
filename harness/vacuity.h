// Could this case have failed? Collects, while a case runs, what a verdict of `vacuous` rests on.
#pragma once
#include <array>
#include <bitset>
#include <optional>
#include <string>

#include "harness/contracts/bounds.h"
#include "harness/problem.h"
#include "reference/optimizer.h"

namespace plumbline::harness {

class Vacuity {
 public:
  // The reference's local step t, and what it started from.
  struct LocalStep {
    int64_t t;
    const StateBefore& before;
    const reference::Tensor& gradient;
    const reference::StepRecord& record;
    const reference::Tensor &parameter_before, &parameter_after;
    const StepBounds& bounds;
    const SlotState* momentum;  // as the subject stored it; null where there is none
  };

  // `store` makes a reference's momentum what the subject stored of it.
  Vacuity(const Problem& problem, const reference::MomentumStore& store);

  void observe(const LocalStep& step);
  void observe_codes(reference::Slot slot, int64_t values, int64_t in_block, const std::bitset<256>& codes);
  // The feature acted, as another comparison has shown.
  void note(Feature feature) { acted_[size_t(feature)] = true; }

  // Why the case was vacuous; empty when it was not.
  std::optional<std::string> reason() const;
  bool acted(Feature feature) const { return acted_[size_t(feature)]; }

 private:
  bool would_notice(Feature feature, const LocalStep& step) const;
  const Problem& problem_;
  const reference::MomentumStore& store_;
  std::array<bool, kFeatures> acted_{};
  bool in_range_ = false;      // some value was a number of its type
  bool idle_noticed_ = false;  // an optimizer that does nothing would have been outside the bounds
  bool signal_seen_ = false;   // an update larger than its bound, in norm
  bool varied_ = false;        // outputs neither constant nor mostly zero
  std::string few_codes_;
};

// Writes `state` into the reference's slots.
void set_state(reference::Optimizer& optimizer, const StateBefore& state);

}  // namespace plumbline::harness
