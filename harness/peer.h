// The program behind a recorded run, as the reference sees it: its dialect, its options, and where it keeps its state.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "harness/trace.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness {

// Throws InputError listing the known peers.
const reference::Dialect& dialect_of(const Trace& trace);

// How a peer holds its hyperparameters: as they were given, or rounded to float32 first.
enum class Hyperparameters : uint8_t { float64, float32 };

// The options of a trace under the peer's own names.
std::vector<reference::NamedOption> peer_options(const Trace& trace, Hyperparameters held = Hyperparameters::float64);

// The reference in the peer's dialect, for projections as recorded. Throws InputError for unknown options (listing the
// known ones), values out of range, and a projection that the dialect needs and the trace lacks.
reference::Optimizer make_reference(const Trace& trace, const Trace::TensorInfo& tensor,
                                    Hyperparameters held = Hyperparameters::float64);

// Puts the projection recorded for step t, if there is one, into its slot. Throws InputError where it does not fit.
void use_recorded_projection(const Trace& trace, std::string_view tensor, int64_t t, reference::Optimizer& optimizer);

// A slot that the peer recorded.
struct RecordedSlot {
  std::string name;  // the peer's
  reference::Slot slot{};
  std::vector<int64_t> order;  // the peer's k-th value is the reference's at order[k]; empty: the same order

  reference::Vector to_peer(const reference::Vector& values) const;
  reference::Vector to_reference(const reference::Vector& values) const;
};
// Those of one tensor. A placeholder (a single zero where the dialect has no such slot) is left out; throws InputError
// for any other slot that the dialect does not have.
std::vector<RecordedSlot> recorded_slots(const Trace& trace, const Trace::TensorInfo& tensor,
                                         const reference::Optimizer& optimizer);
// "state/<tensor>/<slot>@t"
std::string state_array(std::string_view tensor, std::string_view slot, int64_t t);
// Its values in the peer's order; throws InputError unless they are as many as the reference's.
reference::Vector load_state(const Trace& trace, std::string_view tensor, const RecordedSlot& slot, int64_t t,
                             const reference::Optimizer& optimizer);

// Everything that a judge will ask of one tensor's recording. Throws InputError for an array that is missing or changes
// its type or shape from step to step, and for a state before the first step that is not a new optimizer's: how many
// steps led to it, on which averages and corrections depend, is not recorded.
void check_recording(const Trace& trace, std::string_view tensor);

}  // namespace plumbline::harness
