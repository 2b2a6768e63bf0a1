// First moments on the host: a range of one row of a momentum slot, a step on.
#pragma once
#include "cuda/state/slots.h"
#include "cuda/twin/steps.h"

namespace plumbline::twin {

// The momentum slot of a tensor and the step that writes it.
struct Momentum {
  const SlotPlan& slot;
  const core::Hyper& hyper;
  const core::StepScalars& scalars;
  std::byte* state;
  float* record;  // what every value was before it became a code; null where nobody keeps it

  Momentum(const TensorPlan& t, SlotKind kind, const Arenas& arenas, const core::StepScalars& s)
      : slot(t.slot[int(kind)]), hyper(t.hyper), scalars(s), state(arenas.state), record(nullptr) {
    const int64_t offset = kind == SlotKind::momentum ? t.momentum : t.low_rank_momentum;
    if (offset >= 0) record = core::at<float>(arenas.scratch, offset);
  }
  // Stores the average with x; m is then what the slot decodes to. The ranges' bounds are those of decode_slot.
  void update(const SlotRange& range, const float* x, float* m) const;
  // (b q)^2 of the values of a range as update stored them: core/resolution.h.
  void resolve(const SlotRange& range, float* squares) const;
  // What update stored in this step.
  void read(const SlotRange& range, float* m) const { decode_slot(slot, state, range, scalars.writes + 1u, m); }
};

}  // namespace plumbline::twin
