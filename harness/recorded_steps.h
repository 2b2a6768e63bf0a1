// One tensor of a trace, step by step.
#pragma once
#include <string_view>

#include "harness/record/coded_slots.h"
#include "harness/steps.h"
#include "harness/trace.h"

namespace plumbline::harness {

// The trace has to outlive it. Parameters of every step are there in one type and shape; gradients, projections and
// state are what is recorded of them, arrays of whole numbers aside. The constructor throws InputError for an unknown
// tensor, for a parameter that is missing or changes its type, and for state that is missing where steps led to the
// start.
class RecordedSteps final : public Steps {
 public:
  RecordedSteps(const Trace& trace, std::string_view tensor);
  const StepsHead& head() const override { return head_; }
  const StepShown& step(int64_t t) override;

 private:
  void load_state(int64_t t, std::vector<ShownState>& out) const;

  std::optional<reference::Vector> exact_at(int64_t t, const reference::Vector& parameter) const;

  const Trace& trace_;
  std::vector<CodedSlot> coded_;
  std::string exact_slot_;  // that holds what a parameter is more than it shows; empty: none
  StepsHead head_;
  StepShown shown_;
};

// "state/<tensor>/<slot>@t", "projection/<tensor>@t"
std::string state_array(std::string_view tensor, std::string_view slot, int64_t t);
std::string projection_array(std::string_view tensor, int64_t t);

}  // namespace plumbline::harness
