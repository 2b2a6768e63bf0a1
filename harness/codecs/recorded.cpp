#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/codecs/samples.h"
#include "harness/error.h"
#include "harness/trace.h"
#include "reference/dialects/plumbline.h"

namespace plumbline::harness::codecs {
namespace {

using reference::Tensor;

std::vector<double> values_of(const Tensor& x) { return {x.data.begin(), x.data.end()}; }

bool finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

std::vector<double> roots(const std::vector<double>& values) {
  std::vector<double> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](double v) { return std::sqrt(v); });
  return out;
}

// Rows of averages over matrices: no block crosses a matrix.
void add_slices(Sample& sample, const Tensor& x, int64_t slices) {
  const int64_t n = x.size() / slices;
  for (int64_t s = 0; s < slices; ++s) {
    sample.values.emplace_back(x.data.data() + s * n, x.data.data() + (s + 1) * n);
    sample.gradients.push_back(roots(sample.values.back()));
  }
}

// The production rule's own averages over the recorded gradients, and the usual momentum.
std::vector<Sample> averages_of_gradients(const Trace& trace, const std::string& name) {
  constexpr double kBeta1 = 0.9;
  const std::string steps = fmt::format(" after {} steps", trace.steps());
  Sample full{name + ": second moment",
              "average of g^2" + steps,
              StateKind::second_moment,
              SampleOrigin::recorded,
              false,
              {},
              {}};
  Sample rows{name + ": rows and columns",
              "averages of g^2 over rows and over columns" + steps,
              StateKind::second_moment,
              SampleOrigin::recorded,
              true,
              {},
              {}};
  Sample momentum{name + ": momentum",
                  "average of g, beta1 = 0.9," + steps,
                  StateKind::momentum,
                  SampleOrigin::recorded,
                  false,
                  {},
                  {}};
  for (const Trace::TensorInfo& info : trace.tensors()) {
    bool complete = trace.steps() > 0;
    for (int64_t t = 1; t <= trace.steps(); ++t) complete &= trace.has(fmt::format("grad/{}@{}", info.name, t));
    if (!complete) continue;
    Tensor parameter(info.shape), gradient, m(info.shape);
    reference::PlumblineOptions unfactored;
    unfactored.factored = false;
    auto factored = reference::make_plumbline({}, info.shape),
         whole = reference::make_plumbline(unfactored, info.shape);
    for (int64_t t = 1; t <= trace.steps(); ++t) {
      gradient = trace.gradient(info.name, t);
      factored.step(parameter, gradient);
      whole.step(parameter, gradient);
      m.data = kBeta1 * m.data + (1 - kBeta1) * gradient.data;
    }
    full.values.push_back(values_of(*whole.state(reference::Slot::second_moment)));
    full.gradients.push_back(values_of(gradient));
    momentum.values.push_back(values_of(m));
    momentum.second_moments.push_back(full.values.back());
    for (const auto slot : {reference::Slot::row, reference::Slot::col})
      if (const Tensor* average = factored.state(slot)) add_slices(rows, *average, gradient.slices());
  }
  std::vector<Sample> out;
  for (Sample* sample : {&full, &rows, &momentum})
    if (!sample->values.empty()) out.push_back(std::move(*sample));
  return out;
}

// Every slot that the recorded optimizer kept. Its name is the peer's own; signs tell what it is.
std::vector<Sample> recorded_slots(const Trace& trace, const std::string& name) {
  std::map<std::string, Sample> by_slot;
  for (const Trace::TensorInfo& info : trace.tensors())
    for (const std::string& slot : trace.slots(info.name)) {
      const std::string array = fmt::format("state/{}/{}@{}", info.name, slot, trace.steps());
      if (!trace.has(array) || !trace.is_float(array)) continue;
      const Tensor x = trace.load(array);
      const std::vector<double> values = values_of(x);
      if (values.size() < 2 || !finite(values)) continue;
      Sample& sample = by_slot[slot];
      sample.values.push_back(values);
    }
  std::vector<Sample> out;
  for (auto& [slot, sample] : by_slot) {
    sample.name = fmt::format("{}: {}", name, slot);
    sample.meaning = fmt::format("as {} left it after {} steps", trace.peer(), trace.steps());
    sample.origin = SampleOrigin::recorded;
    sample.factored = slot.find("row") != slot.npos || slot.find("col") != slot.npos;
    for (const auto& tensor : sample.values)
      if (std::any_of(tensor.begin(), tensor.end(), [](double v) { return v < 0; })) sample.kind = StateKind::momentum;
    if (sample.kind == StateKind::second_moment)
      for (const auto& tensor : sample.values) sample.gradients.push_back(roots(tensor));
    out.push_back(std::move(sample));
  }
  return out;
}

}  // namespace

std::vector<Sample> recorded_samples(const std::filesystem::path& path) {
  const Trace trace = Trace::read(path);
  const std::string name = path.stem().string();
  auto out = recorded_slots(trace, name);
  if (out.empty()) out = averages_of_gradients(trace, name);
  if (out.empty())
    throw InputError(
        fmt::format("{}: neither state after step {} nor a gradient of every step: expected one of them to study",
                    trace.file(), trace.steps()));
  return out;
}

}  // namespace plumbline::harness::codecs
