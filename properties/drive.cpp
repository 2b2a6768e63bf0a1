#include "properties/drive.h"

#include <bit>
#include <cstring>

namespace plumbline::properties {

using harness::Observation;
using harness::Problem;

Inputs inputs_of(const Problem& problem) {
  const harness::DataSource source(problem);
  Inputs inputs;
  source.initial_parameter(inputs.parameter);
  inputs.gradients.resize(size_t(problem.steps));
  for (int64_t t = 1; t <= problem.steps; ++t) source.gradient(t, inputs.gradients[size_t(t - 1)]);
  return inputs;
}

std::vector<Observation> drive(const harness::Subject& subject, const Problem& problem, const Inputs& inputs) {
  const auto session = subject.start(problem, inputs.parameter.bytes);
  std::vector<Observation> seen(inputs.gradients.size());
  for (size_t t = 0; t < seen.size(); ++t) session->step(inputs.gradients[t].bytes, seen[t]);
  return seen;
}

std::vector<double> parameter_of(const Problem& problem, const Observation& seen) {
  std::vector<double> values(seen.parameter.size() / harness::size_of(problem.parameter));
  harness::load(problem.parameter, seen.parameter.data(), values);
  return values;
}

bool same_state(const Observation& a, const Observation& b) {
  if (a.state.size() != b.state.size() || a.steps_taken != b.steps_taken) return false;
  if (a.previous_norm.has_value() != b.previous_norm.has_value() ||
      (a.previous_norm && std::bit_cast<uint64_t>(*a.previous_norm) != std::bit_cast<uint64_t>(*b.previous_norm)))
    return false;
  for (size_t i = 0; i < a.state.size(); ++i) {
    const auto &x = a.state[i], &y = b.state[i];
    if (x.slot != y.slot || x.values != y.values || x.scales.size() != y.scales.size()) return false;
    if (!x.scales.empty() && std::memcmp(x.scales.data(), y.scales.data(), x.scales.size() * sizeof(float)) != 0)
      return false;
  }
  return true;
}

bool same_bits(const Observation& a, const Observation& b) { return a.parameter == b.parameter && same_state(a, b); }

}  // namespace plumbline::properties
