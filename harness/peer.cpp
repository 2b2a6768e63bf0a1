#include "harness/peer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/error.h"
#include "harness/recorded_steps.h"

namespace plumbline::harness {
namespace {

using nlohmann::json;
using reference::Optimizer;
using reference::Slot;
using reference::Tensor;
using reference::Vector;

constexpr std::array<std::string_view, 5> kImplementationOptions = {"foreach", "fused", "capturable", "differentiable",
                                                                    "use_cuda_kernel"};

// Not whole numbers: those are counts.
void round_numbers(json& value) {
  if (value.is_number_float())
    value = double(float(value.get<double>()));
  else if (value.is_array())
    for (auto& item : value) round_numbers(item);
}

json parse_options(const StepsHead& head, const std::string& text) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) throw InputError(fmt::format("{}: options: expected a JSON object", head.where));
  return value;
}

}  // namespace

const reference::Dialect& dialect_of(std::string_view peer, const std::string& where, std::string_view release,
                                     std::span<const std::string> defects) {
  try {
    const reference::Dialect& dialect = reference::find_dialect(peer, release);
    reference::check_defects(dialect, defects);
    return dialect;
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("{}: {}", where, e.what()));
  }
}

std::vector<reference::NamedOption> peer_options(const StepsHead& head, const std::string& text, Hyperparameters held) {
  std::vector<reference::NamedOption> out;
  json options = parse_options(head, text);
  if (held == Hyperparameters::float32) {
    for (const reference::OptionRow& row : dialect_of(head).options()) {  // defaults like the others
      auto value = json::parse(row.default_value, nullptr, false);
      if (!options.contains(row.name) && !value.is_discarded() && (value.is_number_float() || value.is_array()))
        options[row.name] = value;
    }
    for (auto& [name, value] : options.items()) round_numbers(value);
  }
  const auto rows = dialect_of(head).options();
  for (const auto& [name, value] : options.items()) {
    const auto named = [&name = name](const auto& other) { return other == name; };
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return named(row.name); });
    // It says how the same numbers are computed, where the dialect does not say otherwise.
    if (!known && std::any_of(kImplementationOptions.begin(), kImplementationOptions.end(), named)) continue;
    out.push_back({name, value.is_string() ? value.get<std::string>() : value.dump()});
  }
  return out;
}

std::string changed_options(const StepsHead& head, const std::string& in_force, const std::string& change) {
  json options = parse_options(head, in_force);
  options.update(parse_options(head, change));
  return options.dump();
}

Optimizer make_reference(const StepsHead& head, const std::string& options, Hyperparameters held) {
  const reference::Dialect& dialect = dialect_of(head);
  try {
    return dialect.make(peer_options(head, options, held), head.shape,
                        {.epsilon = 2 * unit_roundoff(head.parameter),
                         .recorded_projection = head.projections || !dialect.makes_projection,
                         .defects = head.defects});
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("{}: peer {}: {}", head.where, head.peer, e.what()));
  }
}

void continue_as(Optimizer changed, Optimizer& optimizer) {
  for (int s = 0; s <= int(Slot::previous_norm); ++s) {
    Tensor *now = changed.state(static_cast<Slot>(s)), *was = optimizer.state(static_cast<Slot>(s));
    if (now && was && now->shape == was->shape) *now = *was;
  }
  changed.set_step_count(optimizer.step_count());
  optimizer = std::move(changed);
}

void use_shown_projection(const StepsHead& head, int64_t t, const StepShown& shown, Optimizer& optimizer) {
  Tensor* projection = optimizer.state(Slot::projection);
  if (!shown.projection) {
    const bool made = !head.projections && dialect_of(head).makes_projection;
    if (projection && !made && (projection->data == 0).all())
      throw InputError(fmt::format("{}: array {} is missing: the reference takes the peer's projections", head.where,
                                   projection_array(head.tensor, t)));
    return;
  }
  if (!projection || projection->shape != shown.projection->shape)
    throw InputError(fmt::format("{}: {}: the dialect has no projection of this shape", head.where,
                                 projection_array(head.tensor, t)));
  *projection = *shown.projection;
}

Vector KnownSlot::to_peer(const Vector& values) const {
  if (order.empty()) return values;
  Vector out(values.size());
  for (int64_t k = 0; k < values.size(); ++k) out[k] = values[order[static_cast<size_t>(k)]];
  return out;
}

Vector KnownSlot::to_reference(const Vector& values) const {
  if (order.empty()) return values;
  Vector out(values.size());
  for (int64_t k = 0; k < values.size(); ++k) out[order[static_cast<size_t>(k)]] = values[k];
  return out;
}

std::vector<KnownSlot> known_slots(const StepsHead& head, const Optimizer& optimizer) {
  const reference::Dialect& dialect = dialect_of(head);
  std::vector<KnownSlot> slots;
  for (size_t k = 0; k < head.slots.size(); ++k)
    if (const reference::PeerSlot* slot = dialect.find_slot(optimizer, head.slots[k].name)) {
      auto order = dialect.order ? dialect.order(head.shape, slot->slot) : std::vector<int64_t>{};
      slots.push_back({head.slots[k].name, slot->slot, k, std::move(order)});
    }
  return slots;
}

void check_state(const StepsHead& head, const std::vector<KnownSlot>& known, const Optimizer& optimizer, int64_t t,
                 const std::vector<ShownState>& state) {
  size_t next = 0;
  for (size_t k = 0; k < state.size(); ++k) {
    const KnownSlot* slot = next < known.size() && known[next].index == k ? &known[next++] : nullptr;
    if (!state[k].shown) continue;
    const Vector& values = state[k].values;
    if (slot && head.slots[k].codec) {
      try {
        block_of(*head.slots[k].codec, state[k].codes, optimizer.state(slot->slot)->size());
      } catch (const std::invalid_argument& e) {
        throw InputError(fmt::format("{}: {}: {}", head.where, state_array(head.tensor, slot->name, t), e.what()));
      }
    } else if (slot) {
      if (const int64_t expected = optimizer.state(slot->slot)->size(); values.size() != expected)
        throw InputError(fmt::format("{}: {} has {} values: expected {}", head.where,
                                     state_array(head.tensor, slot->name, t), values.size(), expected));
    } else if (values.size() != 1 || values[0] != 0) {
      std::vector<std::string_view> names;
      for (const auto& of : dialect_of(head).slots)
        if (optimizer.state(of.slot)) names.push_back(of.name);
      throw InputError(fmt::format("{}: {}: the dialect has no such slot, known: {}", head.where,
                                   state_array(head.tensor, head.slots[k].name, t),
                                   names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
    }
  }
}

void check_fresh(const StepsHead& head, const std::vector<KnownSlot>& known, const Optimizer& optimizer) {
  for (const KnownSlot& slot : known) {
    if (!head.state[slot.index].shown || head.slots[slot.index].codec) continue;
    const Vector &values = head.state[slot.index].values, fresh = slot.to_peer(optimizer.state(slot.slot)->data);
    for (int64_t i = 0; i < fresh.size(); ++i)
      if (values[i] != fresh[i])
        throw InputError(
            fmt::format("{}: {}: element {} is {:g}: expected {:g}, the state of a new optimizer; runs are judged from "
                        "their first step",
                        head.where, state_array(head.tensor, slot.name, 0), i, values[i], fresh[i]));
  }
}

void check_steps(Steps& steps) {
  const StepsHead& head = steps.head();
  Optimizer optimizer = make_reference(head);
  const auto known = known_slots(head, optimizer);
  check_state(head, known, optimizer, 0, head.state);
  if (head.clock == 0) check_fresh(head, known, optimizer);
  for (int64_t t = 1; t <= head.steps; ++t) {
    const StepShown& shown = steps.step(t);
    if (shown.stepped()) use_shown_projection(head, t, shown, optimizer);
    check_state(head, known, optimizer, t, shown.state);
  }
}

}  // namespace plumbline::harness
