// One tensor's training, step by step, as the judge of any-order arithmetic asks for it: a recording shows one, a live
// program another (recorded_steps.h holds a trace to it; judge_steps.h judges any).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/format.h"
#include "harness/record/run_header.h"
#include "harness/record/state_codes.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// A slot of state that the peer shows after some step.
struct ShownSlot {
  std::string name;                      // the peer's own
  DType type = DType::float32;           // of its values; of the scales where it is kept in codes
  std::optional<StateCodec> codec = {};  // how it is kept in codes; none: its values are shown
};

// Its values after one step; of a slot in codes, those, and values that are left empty.
struct ShownState {
  bool shown = false;        // the other members say nothing without it
  reference::Vector values;  // in the peer's order
  StoredCodes codes = {};    // likewise
};

// What does not change from step to step.
struct StepsHead {
  std::string where;                 // begins every message: the file, or the program
  std::string tensor;                // its name
  std::string peer;                  // the dialect
  std::string release;               // version of the peer's package; empty: not said
  std::vector<std::string> defects;  // bugs of that version that the run is said to have
  std::string options;               // JSON object under the peer's names, as of the first step
  std::vector<int64_t> shape;
  int64_t steps = 0;
  int64_t clock = 0;  // steps that led to the start; 0: a new optimizer
  DType parameter = DType::float32;
  ParameterStorage storage = ParameterStorage::nearest;
  bool projections = false;                     // they are shown; else the dialect makes them, where it can
  reference::Tensor start;                      // the parameter before the first step
  std::optional<reference::Vector> exact = {};  // what the first step reads where it is not that
  std::vector<ShownSlot> slots;
  std::vector<ShownState> state;  // before the first step, parallel to `slots`; what is not shown is a new optimizer's
};

// A step, and what it left. Tensors have the head's shape.
struct StepShown {
  std::string options;                        // JSON object of those that have another value from here on; or empty
  bool skipped = false;                       // the peer says that it left this tensor as it was
  bool clock_goes_on = false;                 // the clock is not the tensor's own: it counts a step without a gradient
  std::optional<reference::Tensor> gradient;  // none: the tensor has none, and does not step
  std::optional<reference::Tensor> projection;  // in force in this step; none: as before
  reference::Tensor parameter;                  // after the step
  std::optional<reference::Vector> exact = {};  // what the next step reads, where it is shown and not that
  std::vector<ShownState> state;                // after the step, parallel to the head's slots

  bool stepped() const { return gradient && !skipped; }
  bool clock_went_on() const { return stepped() || clock_goes_on; }
};

class Steps {
 public:
  virtual ~Steps() = default;
  virtual const StepsHead& head() const = 0;
  // Step t of 1..head().steps, asked for in this order, and perhaps once more from the first: the same is to be shown
  // again. The reference holds until the next call. Throws InputError for a step that cannot be told; for what a live
  // program does wrong, std::runtime_error.
  virtual const StepShown& step(int64_t t) = 0;
};

}  // namespace plumbline::harness
