// One tensor of a trace, step by step.
#pragma once
#include <string_view>

#include "harness/steps.h"
#include "harness/trace.h"

namespace plumbline::harness {

// The trace has to outlive it. Parameters and gradients of every step are there in one type and shape, and projections
// and state are what is recorded of them: the constructor throws InputError for an unknown tensor and for an array that
// is missing or changes its type.
class RecordedSteps final : public Steps {
 public:
  RecordedSteps(const Trace& trace, std::string_view tensor);
  const StepsHead& head() const override { return head_; }
  const StepShown& step(int64_t t) override;

 private:
  void load_state(int64_t t, std::vector<ShownState>& out) const;

  const Trace& trace_;
  StepsHead head_;
  StepShown shown_;
};

// "state/<tensor>/<slot>@t", "projection/<tensor>@t"
std::string state_array(std::string_view tensor, std::string_view slot, int64_t t);
std::string projection_array(std::string_view tensor, int64_t t);

}  // namespace plumbline::harness
