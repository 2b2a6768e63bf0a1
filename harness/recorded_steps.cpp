#include "harness/recorded_steps.h"

#include <fmt/format.h>

#include "harness/error.h"

namespace plumbline::harness {

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
  head_.options = trace.options_json();
  head_.shape = info.shape;
  head_.steps = trace.steps();
  head_.parameter = trace.dtype(fmt::format("param/{}@0", info.name));
  for (int64_t t = 0; t <= trace.steps(); ++t) {
    const std::string array = fmt::format("param/{}@{}", info.name, t);
    if (const DType other = trace.dtype(array); other != head_.parameter)
      throw InputError(fmt::format("{}: {} is {}: expected {}, as at the start", trace.file(), array, to_string(other),
                                   to_string(head_.parameter)));
    if (t > 0) trace.dtype(fmt::format("grad/{}@{}", info.name, t));
  }
  for (const std::string& name : trace.slots(info.name)) {
    std::optional<DType> type;  // of the first step that shows it
    for (int64_t t = 1; t <= trace.steps() && !type; ++t)
      if (const std::string array = state_array(info.name, name, t); trace.has(array)) type = trace.dtype(array);
    head_.slots.push_back({name, type.value_or(head_.parameter)});
  }
  head_.projections = trace.has(projection_array(info.name, 1));
  head_.start = trace.parameter(info.name, 0);
  load_state(0, head_.state);
}

const StepShown& RecordedSteps::step(int64_t t) {
  shown_.gradient = trace_.gradient(head_.tensor, t);
  shown_.parameter = trace_.parameter(head_.tensor, t);
  const std::string projection = projection_array(head_.tensor, t);
  shown_.projection.reset();
  if (trace_.has(projection)) shown_.projection = trace_.load(projection);
  load_state(t, shown_.state);
  return shown_;
}

void RecordedSteps::load_state(int64_t t, std::vector<ShownState>& out) const {
  out.resize(head_.slots.size());
  for (size_t k = 0; k < out.size(); ++k) {
    const std::string array = state_array(head_.tensor, head_.slots[k].name, t);
    out[k].shown = trace_.has(array);
    if (out[k].shown) out[k].values = trace_.load(array).data;
  }
}

}  // namespace plumbline::harness
