// The reference against recorded runs of public optimizers: parameters, increments and states after every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/trace.h"
#include "reference/dialects/dialect.h"

namespace plumbline::reference {
namespace {

namespace fs = std::filesystem;
using harness::Trace;

std::vector<fs::path> traces() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(CONFORMANCE_FOLDER)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<NamedOption> options_of(const Trace& trace) {
  std::vector<NamedOption> out;
  for (const auto& [name, value] : nlohmann::json::parse(trace.options_json()).items())
    out.push_back({name, value.is_string() ? value.get<std::string>() : value.dump()});
  return out;
}

double norm(const Vector& x) { return std::sqrt(x.square().sum()); }

// Normwise relative error; equal vectors have none, also at zero.
double error(const Vector& got, const Vector& expected) {
  const double difference = norm(got - expected);
  return difference == 0 ? 0 : difference / norm(expected);
}

Vector reordered(const Vector& x, const std::vector<int64_t>& order) {
  if (order.empty()) return x;
  Vector out(x.size());
  for (int64_t k = 0; k < x.size(); ++k) out[k] = x[order[static_cast<size_t>(k)]];
  return out;
}

class ConformanceTest : public testing::TestWithParam<fs::path> {};

struct Worst {
  double parameter = 0, state = 0, increment = 0;  // increment: as a part of its limit
};

// Free run over one tensor. Limits of increments: 1e-13 of their norm (times `looser`) plus 2^-51 of the parameter's.
Worst replay(const Trace& trace, const Dialect& dialect, const Trace::TensorInfo& tensor, double looser) {
  Optimizer optimizer = dialect.make(options_of(trace), tensor.shape, {});
  Tensor p = trace.parameter(tensor.name, 0);
  Worst worst;
  for (int64_t t = 1; t <= trace.steps(); ++t) {
    const std::string at = tensor.name + "@" + std::to_string(t);
    if (trace.has("projection/" + at)) {
      Tensor* projection = optimizer.state(Slot::projection);
      EXPECT_NE(projection, nullptr);
      const Tensor recorded = trace.load("projection/" + at);
      EXPECT_EQ(projection->shape, recorded.shape) << at;
      *projection = recorded;
    }
    const Tensor before = p;
    optimizer.step(p, trace.gradient(tensor.name, t));

    const Tensor recorded = trace.parameter(tensor.name, t), recorded_before = trace.parameter(tensor.name, t - 1);
    worst.parameter = std::max(worst.parameter, error(p.data, recorded.data));
    const Vector increment = recorded.data - recorded_before.data;
    const double limit = 1e-13 * looser * norm(increment) + 0x1p-51 * norm(recorded.data);
    worst.increment = std::max(worst.increment, norm(p.data - before.data - increment) / limit);

    for (const auto& name : trace.slots(tensor.name)) {
      const Tensor state = trace.load("state/" + tensor.name + "/" + name + "@" + std::to_string(t));
      const PeerSlot* slot = dialect.find_slot(optimizer, name);
      if (!slot) {  // only a placeholder may have no counterpart
        EXPECT_TRUE(state.size() == 1 && state.data[0] == 0) << name << " of " << at;
        continue;
      }
      const Vector ours = reordered(optimizer.state(slot->slot)->data,
                                    dialect.order ? dialect.order(tensor.shape, slot->slot) : std::vector<int64_t>{});
      EXPECT_EQ(ours.size(), state.size()) << name << " of " << at;
      worst.state = std::max(worst.state, error(ours, state.data));
    }
  }
  return worst;
}

// float32 storage: from the recorded parameter of each step, with the reference's own state. Each stored R, C or V is
// rounded once a step, so after t steps it is within t u; u = g/sqrt(V^) takes half of R, C and sum R, its RMS in the
// clip as much again; the parameter is rounded once.
double replay_float32(const Trace& trace, const Dialect& dialect, const Trace::TensorInfo& tensor) {
  constexpr double kUnit = 0x1p-24;
  Optimizer optimizer = dialect.make(options_of(trace), tensor.shape, {.epsilon = 0x1p-23});
  double worst = 0;
  for (int64_t t = 1; t <= trace.steps(); ++t) {
    const Tensor before = trace.parameter(tensor.name, t - 1), recorded = trace.parameter(tensor.name, t);
    Tensor p = before;
    optimizer.step(p, trace.gradient(tensor.name, t));
    const Vector bound =
        kUnit * ((p.data).abs() + 3.0 * static_cast<double>(t) * (p.data - before.data).abs()) * (1 + 1e-5) + 0x1p-150;
    worst = std::max(worst, ((p.data - recorded.data).abs() / bound).maxCoeff());
  }
  return worst;
}

TEST_P(ConformanceTest, EveryTensorAgreesAtEveryStep) {
  const Trace trace = Trace::read(GetParam());
  const Dialect& dialect = find_dialect(trace.peer());
  Worst worst;
  for (const auto& tensor : trace.tensors()) {
    SCOPED_TRACE(tensor.name);
    if (trace.dtype("param/" + tensor.name + "@0") == harness::DType::float32) {
      const double ratio = replay_float32(trace, dialect, tensor);
      EXPECT_LE(ratio, 1);
      worst.parameter = std::max(worst.parameter, ratio * 0x1p-24);
      continue;
    }
    // optax evaluates t^-decay_rate in float32, and the last bit of that is its own
    const bool single = trace.peer() == "optax";
    const double limit = single ? 1e-8 : 1e-14;
    const Worst of = replay(trace, dialect, tensor, single ? 1e6 : 1);
    EXPECT_LE(of.parameter, limit);
    EXPECT_LE(of.state, limit);
    EXPECT_LE(of.increment, 1);
    worst = {std::max(worst.parameter, of.parameter), std::max(worst.state, of.state),
             std::max(worst.increment, of.increment)};
  }
  std::printf("%-28s parameter %.1e  state %.1e  increment %.1e of its limit\n", GetParam().stem().c_str(),
              worst.parameter, worst.state, worst.increment);
}

INSTANTIATE_TEST_SUITE_P(Traces, ConformanceTest, testing::ValuesIn(traces()), [](const auto& parameter) {
  std::string name = parameter.param.stem();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ConformanceFolderTest, HoldsEveryPeer) {
  EXPECT_EQ(traces().size(), 44U);
  for (const auto& dialect : dialects())
    EXPECT_TRUE(std::ranges::any_of(traces(), [&](const fs::path& path) {
      return path.stem().string().starts_with(std::string(dialect.name) + "-");
    })) << dialect.name;
}

}  // namespace
}  // namespace plumbline::reference
