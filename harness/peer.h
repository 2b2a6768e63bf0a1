// The program behind a training, as the reference sees it: its dialect, its options, and where it keeps its state.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/steps.h"
#include "reference/dialects/dialect.h"

namespace plumbline::harness {

// Throws InputError listing the known peers, the versions whose rules are known, or the defects that this one has;
// `where` begins the message.
const reference::Dialect& dialect_of(std::string_view peer, const std::string& where, std::string_view release = "",
                                     std::span<const std::string> defects = {});
inline const reference::Dialect& dialect_of(const StepsHead& head) {
  return dialect_of(head.peer, head.where, head.release, head.defects);
}

// How a peer holds its hyperparameters: as they were given, or rounded to float32 first.
enum class Hyperparameters : uint8_t { float64, float32 };

// Options under the peer's own names, from a JSON object; those that only choose an implementation are left out.
std::vector<reference::NamedOption> peer_options(const StepsHead& head, const std::string& options,
                                                 Hyperparameters held = Hyperparameters::float64);
// The options of a step: those that were in force, with those that change. Throws InputError unless both are objects.
std::string changed_options(const StepsHead& head, const std::string& in_force, const std::string& change);

// The reference in the peer's dialect, for projections as shown. Throws InputError for unknown options (listing the
// known ones) and values out of range.
reference::Optimizer make_reference(const StepsHead& head, const std::string& options,
                                    Hyperparameters held = Hyperparameters::float64);
inline reference::Optimizer make_reference(const StepsHead& head, Hyperparameters held = Hyperparameters::float64) {
  return make_reference(head, head.options, held);
}

// `optimizer` as it goes on under other options: `changed` with its state.
void continue_as(reference::Optimizer changed, reference::Optimizer& optimizer);

// Puts the projection shown for step t, if there is one, into its slot. Throws InputError where it does not fit, and
// where the dialect needs one that was never shown.
void use_shown_projection(const StepsHead& head, int64_t t, const StepShown& shown, reference::Optimizer& optimizer);

// A slot that the peer shows and the dialect has.
struct KnownSlot {
  std::string name;  // the peer's
  reference::Slot slot{};
  size_t index = 0;            // among the head's slots
  std::vector<int64_t> order;  // the peer's k-th value is the reference's at order[k]; empty: the same order

  reference::Vector to_peer(const reference::Vector& values) const;
  reference::Vector to_reference(const reference::Vector& values) const;
};
std::vector<KnownSlot> known_slots(const StepsHead& head, const reference::Optimizer& optimizer);

// State after step t (0: before the first). Throws InputError unless known slots have as many values as the
// reference's and every other is a placeholder: a single zero.
void check_state(const StepsHead& head, const std::vector<KnownSlot>& known, const reference::Optimizer& optimizer,
                 int64_t t, const std::vector<ShownState>& state);
// State before the first step of a new optimizer: throws InputError for another than the reference's. How many steps
// led to it, on which averages and corrections depend, is not told.
void check_fresh(const StepsHead& head, const std::vector<KnownSlot>& known, const reference::Optimizer& optimizer);

// All that a judge will ask of a training, asked. Throws InputError.
void check_steps(Steps& steps);

}  // namespace plumbline::harness
