#include "harness/recorded_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/contracts/bounded.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

constexpr std::string_view kClockSlot = "step";  // of any type; steps are counted
constexpr double kCorrectionSteps = 127;         // of eight bits, to half an ulp

}  // namespace

std::string state_array(std::string_view tensor, std::string_view slot, int64_t t) {
  return fmt::format("state/{}/{}@{}", tensor, slot, t);
}
std::string projection_array(std::string_view tensor, int64_t t) { return fmt::format("projection/{}@{}", tensor, t); }

RecordedSteps::RecordedSteps(const Trace& trace, std::string_view tensor) : trace_(trace) {
  const Trace::TensorInfo& info = trace.tensor(tensor);
  head_.where = trace.file();
  head_.tensor = info.name;
  head_.peer = trace.peer();
  head_.release = trace.release();
  head_.defects = trace.defects();
  head_.options = trace.header().options(info.group, 1);
  head_.shape = info.shape;
  head_.steps = trace.steps();
  head_.clock = info.steps_before;
  head_.parameter = trace.dtype(fmt::format("param/{}@0", info.name));
  for (int64_t t = 0; t <= trace.steps(); ++t) {
    const std::string array = fmt::format("param/{}@{}", info.name, t);
    if (const DType other = trace.dtype(array); other != head_.parameter)
      throw InputError(fmt::format("{}: {} is {}: expected {}, as at the start", trace.file(), array, to_string(other),
                                   to_string(head_.parameter)));
    if (t > 0 && trace.has_gradient(info.name, t)) trace.dtype(fmt::format("grad/{}@{}", info.name, t));
  }
  head_.storage = size_of(head_.parameter) < 4 ? info.storage : ParameterStorage::nearest;
  exact_slot_ = head_.storage == ParameterStorage::master        ? "master"
                : head_.storage == ParameterStorage::compensated ? "compensation"
                : head_.storage == ParameterStorage::split       ? "correction"
                                                                 : "";
  coded_ = coded_slots(trace, info);
  for (const CodedSlot& slot : coded_) {
    DType type = DType::float32;
    for (int64_t t = 0; t <= trace.steps(); ++t)
      if (const std::string array = state_array(info.name, slot.scales, t); trace.has(array)) type = trace.dtype(array);
    head_.slots.push_back({slot.slot, type, slot.codec});
  }
  const auto part_of_codes = [&](const std::string& name) {
    return std::any_of(coded_.begin(), coded_.end(), [&](const CodedSlot& slot) {
      return name == slot.codes || name == slot.scales || name == slot.lowest || name == slot.table;
    });
  };
  for (const std::string& name : trace.slots(info.name)) {
    if (name == kClockSlot || name == exact_slot_ || part_of_codes(name)) continue;
    std::optional<DType> type;  // of the first step that shows it
    bool numbers = true;
    for (int64_t t = 0; t <= trace.steps() && numbers && !type; ++t)
      if (const std::string array = state_array(info.name, name, t); trace.has(array)) {
        numbers = trace.is_float(array);
        if (numbers && t > 0) type = trace.dtype(array);
      }
    if (numbers) head_.slots.push_back({name, type.value_or(head_.parameter)});
  }
  head_.projections = trace.has(projection_array(info.name, 1));
  head_.start = trace.parameter(info.name, 0);
  head_.exact = exact_at(0, head_.start.data);
  load_state(0, head_.state);
  // What led to the start is in the state alone.
  if (head_.clock > 0)
    for (size_t k = 0; k < head_.slots.size(); ++k)
      if (!head_.state[k].shown)
        throw InputError(fmt::format("{}: {} is missing: a run that begins after {} steps gives its state",
                                     trace.file(), state_array(info.name, head_.slots[k].name, 0), head_.clock));
}

const StepShown& RecordedSteps::step(int64_t t) {
  const RunHeader& header = trace_.header();
  const Trace::TensorInfo& info = trace_.tensor(head_.tensor);
  shown_.options = header.options_change(info.group, t) ? header.options(info.group, t) : std::string();
  shown_.skipped = header.skipped(info, t);
  shown_.clock_goes_on = header.clock() == StepClock::run && !shown_.skipped;
  shown_.gradient.reset();
  if (trace_.has_gradient(head_.tensor, t)) shown_.gradient = trace_.gradient(head_.tensor, t);
  shown_.parameter = trace_.parameter(head_.tensor, t);
  shown_.exact = exact_at(t, shown_.parameter.data);
  const std::string projection = projection_array(head_.tensor, t);
  shown_.projection.reset();
  if (trace_.has(projection)) shown_.projection = trace_.load(projection);
  load_state(t, shown_.state);
  return shown_;
}

// What the next step reads where that is not the recorded parameter: a master copy, or the parameter with what is kept
// beside it.
std::optional<reference::Vector> RecordedSteps::exact_at(int64_t t, const reference::Vector& parameter) const {
  const std::string array = state_array(head_.tensor, exact_slot_, t);
  if (exact_slot_.empty() || !trace_.has(array)) return std::nullopt;
  reference::Vector out;
  if (head_.storage == ParameterStorage::split) {
    const std::vector<int64_t> corrections = trace_.load_codes(array);
    out.resize(int64_t(corrections.size()));
    for (int64_t i = 0; i < std::min(out.size(), parameter.size()); ++i)
      out[i] = parameter[i] +
               double(corrections[size_t(i)]) / kCorrectionSteps * half_ulp(head_.parameter, std::fabs(parameter[i]));
  } else {
    out = trace_.load(array).data;
    if (head_.storage == ParameterStorage::compensated && out.size() == parameter.size()) out += parameter;
  }
  if (out.size() != parameter.size())
    throw InputError(
        fmt::format("{}: {} has {} values: expected {}", trace_.file(), array, out.size(), parameter.size()));
  return out;
}

void RecordedSteps::load_state(int64_t t, std::vector<ShownState>& out) const {
  out.resize(head_.slots.size());
  for (size_t k = 0; k < out.size(); ++k) {
    const bool coded = k < coded_.size();  // those come first
    const std::string array = state_array(head_.tensor, coded ? coded_[k].codes : head_.slots[k].name, t);
    out[k].shown = trace_.has(array);
    if (out[k].shown && coded)
      out[k].codes = load_stored_codes(trace_, trace_.tensor(head_.tensor), coded_[k], t);
    else if (out[k].shown)
      out[k].values = trace_.load(array).data;
  }
}

}  // namespace plumbline::harness
