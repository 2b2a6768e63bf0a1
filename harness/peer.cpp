#include "harness/peer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/error.h"

namespace plumbline::harness {
namespace {

using reference::Optimizer;
using reference::Slot;
using reference::Tensor;
using reference::Vector;

// Not whole numbers: those are counts.
void round_numbers(nlohmann::json& value) {
  if (value.is_number_float())
    value = double(float(value.get<double>()));
  else if (value.is_array())
    for (auto& item : value) round_numbers(item);
}

std::string projection_array(std::string_view tensor, int64_t t) { return fmt::format("projection/{}@{}", tensor, t); }

}  // namespace

const reference::Dialect& dialect_of(const Trace& trace) {
  try {
    return reference::find_dialect(trace.peer());
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("{}: {}", trace.file(), e.what()));
  }
}

std::vector<reference::NamedOption> peer_options(const Trace& trace, Hyperparameters held) {
  std::vector<reference::NamedOption> out;
  auto options = nlohmann::json::parse(trace.options_json());  // the trace's reader has checked it
  if (held == Hyperparameters::float32) {
    for (const reference::OptionRow& row : dialect_of(trace).options()) {  // defaults are held like the others
      auto value = nlohmann::json::parse(row.default_value, nullptr, false);
      if (!options.contains(row.name) && !value.is_discarded() && (value.is_number_float() || value.is_array()))
        options[row.name] = value;
    }
    for (auto& [name, value] : options.items()) round_numbers(value);
  }
  for (const auto& [name, value] : options.items())
    out.push_back({name, value.is_string() ? value.get<std::string>() : value.dump()});
  return out;
}

Optimizer make_reference(const Trace& trace, const Trace::TensorInfo& tensor, Hyperparameters held) {
  const DType type = trace.dtype(fmt::format("param/{}@0", tensor.name));
  try {
    Optimizer made =
        dialect_of(trace).make(peer_options(trace, held), tensor.shape, {.epsilon = 2 * unit_roundoff(type)});
    if (made.state(Slot::projection) && !trace.has(projection_array(tensor.name, 1)))
      throw InputError(fmt::format("{}: array {} is missing: the reference takes the peer's projections", trace.file(),
                                   projection_array(tensor.name, 1)));
    return made;
  } catch (const std::invalid_argument& e) {
    throw InputError(fmt::format("{}: peer {}: {}", trace.file(), trace.peer(), e.what()));
  }
}

void use_recorded_projection(const Trace& trace, std::string_view tensor, int64_t t, Optimizer& optimizer) {
  const std::string name = projection_array(tensor, t);
  if (!trace.has(name)) return;
  const Tensor recorded = trace.load(name);
  Tensor* projection = optimizer.state(Slot::projection);
  if (!projection || projection->shape != recorded.shape)
    throw InputError(fmt::format("{}: {}: the dialect has no projection of this shape", trace.file(), name));
  *projection = recorded;
}

Vector RecordedSlot::to_peer(const Vector& values) const {
  if (order.empty()) return values;
  Vector out(values.size());
  for (int64_t k = 0; k < values.size(); ++k) out[k] = values[order[static_cast<size_t>(k)]];
  return out;
}

Vector RecordedSlot::to_reference(const Vector& values) const {
  if (order.empty()) return values;
  Vector out(values.size());
  for (int64_t k = 0; k < values.size(); ++k) out[order[static_cast<size_t>(k)]] = values[k];
  return out;
}

std::string state_array(std::string_view tensor, std::string_view slot, int64_t t) {
  return fmt::format("state/{}/{}@{}", tensor, slot, t);
}

std::vector<RecordedSlot> recorded_slots(const Trace& trace, const Trace::TensorInfo& tensor,
                                         const Optimizer& optimizer) {
  const reference::Dialect& dialect = dialect_of(trace);
  std::vector<RecordedSlot> slots;
  for (const std::string& name : trace.slots(tensor.name)) {
    if (const reference::PeerSlot* slot = dialect.find_slot(optimizer, name)) {
      auto order = dialect.order ? dialect.order(tensor.shape, slot->slot) : std::vector<int64_t>{};
      slots.push_back({name, slot->slot, std::move(order)});
      continue;
    }
    for (int64_t t = 0; t <= trace.steps(); ++t) {
      const std::string array = state_array(tensor.name, name, t);
      if (!trace.has(array)) continue;
      const Tensor state = trace.load(array);
      if (state.size() != 1 || state.data[0] != 0) {
        std::vector<std::string_view> known;
        for (const auto& of : dialect.slots)
          if (optimizer.state(of.slot)) known.push_back(of.name);
        throw InputError(fmt::format("{}: {}: the dialect has no such slot, known: {}", trace.file(), array,
                                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
      }
    }
  }
  return slots;
}

Vector load_state(const Trace& trace, std::string_view tensor, const RecordedSlot& slot, int64_t t,
                  const Optimizer& optimizer) {
  const std::string array = state_array(tensor, slot.name, t);
  Vector values = trace.load(array).data;
  const int64_t expected = optimizer.state(slot.slot)->size();
  if (values.size() != expected)
    throw InputError(fmt::format("{}: {} has {} values: expected {}", trace.file(), array, values.size(), expected));
  return values;
}

void check_recording(const Trace& trace, std::string_view name) {
  const Trace::TensorInfo& tensor = trace.tensor(name);
  const Optimizer optimizer = make_reference(trace, tensor);
  const DType type = trace.dtype(fmt::format("param/{}@0", name));
  for (int64_t t = 0; t <= trace.steps(); ++t) {
    const std::string array = fmt::format("param/{}@{}", name, t);
    if (const DType other = trace.dtype(array); other != type)
      throw InputError(fmt::format("{}: {} is {}: expected {}, as at the start", trace.file(), array, to_string(other),
                                   to_string(type)));
    if (t > 0) trace.dtype(fmt::format("grad/{}@{}", name, t));
  }
  for (const RecordedSlot& slot : recorded_slots(trace, tensor, optimizer)) {
    for (int64_t t = 1; t <= trace.steps(); ++t)
      if (trace.has(state_array(name, slot.name, t))) load_state(trace, name, slot, t, optimizer);
    if (const std::string array = state_array(name, slot.name, 0); trace.has(array)) {
      const Vector values = load_state(trace, name, slot, 0, optimizer);
      const Vector fresh = slot.to_peer(optimizer.state(slot.slot)->data);
      for (int64_t i = 0; i < fresh.size(); ++i)
        if (values[i] != fresh[i])
          throw InputError(
              fmt::format("{}: {}: element {} is {:g}: expected {:g}, the state of a new optimizer; runs are judged "
                          "from their first step",
                          trace.file(), array, i, values[i], fresh[i]));
    }
  }
}

}  // namespace plumbline::harness
