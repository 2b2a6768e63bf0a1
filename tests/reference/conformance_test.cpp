// The reference against recorded runs of public optimizers: parameters, increments and states after every step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/conformance.h"
#include "harness/format.h"
#include "harness/trace.h"
#include "reference/dialects/adam_low_rank.h"
#include "reference/dialects/apollo.h"
#include "reference/dialects/came.h"
#include "reference/dialects/dialect.h"
#include "reference/transforms/bias_correction.h"
#include "reference/transforms/clip.h"
#include "reference/transforms/descend.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/full_moment.h"
#include "reference/transforms/limiter.h"
#include "reference/transforms/precondition.h"
#include "reference/transforms/projected_scaling.h"
#include "reference/transforms/scale.h"
#include "reference/transforms/step_size.h"
#include "reference/transforms/weight_decay.h"

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
  const auto options = nlohmann::json::parse(trace.options_json());
  for (const auto& [name, value] : options.items())
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

// "kind/tensor@t", "state/tensor/slot@t"
std::string array(std::string_view kind, std::string_view tensor, int64_t t, std::string_view slot = "") {
  std::string out(kind);
  out.append("/").append(tensor);
  if (!slot.empty()) out.append("/").append(slot);
  return out.append("@").append(std::to_string(t));
}

class ConformanceTest : public testing::TestWithParam<fs::path> {};

struct Worst {
  double parameter = 0, state = 0, increment = 0;  // increment: as a part of its limit
};

using Make = std::function<Optimizer(const Shape&)>;

// Free run over one tensor, with the projections in force `late` steps ago. Limits of increments: 1e-13 of their norm
// plus 2^-51 of the parameter's.
Worst replay(const Trace& trace, const Dialect& dialect, const Trace::TensorInfo& tensor, const Make& make,
             int64_t late = 0) {
  Optimizer optimizer = make(tensor.shape);
  Tensor p = trace.parameter(tensor.name, 0);
  Worst worst;
  for (int64_t t = 1; t <= trace.steps(); ++t) {
    if (trace.has(array("projection", tensor.name, t))) {
      const Tensor recorded = trace.load(array("projection", tensor.name, std::max(t - late, int64_t{1})));
      Tensor* projection = optimizer.state(Slot::projection);
      if (!projection || projection->shape != recorded.shape)
        throw std::runtime_error(array("projection", tensor.name, t));
      *projection = recorded;
    }
    const Tensor before = p;
    optimizer.step(p, trace.gradient(tensor.name, t));

    const Tensor recorded = trace.parameter(tensor.name, t);
    worst.parameter = std::max(worst.parameter, error(p.data, recorded.data));
    const Vector increment = recorded.data - trace.parameter(tensor.name, t - 1).data;
    const double limit = 1e-13 * norm(increment) + 0x1p-51 * norm(recorded.data);
    worst.increment = std::max(worst.increment, norm(p.data - before.data - increment) / limit);

    for (const auto& name : trace.slots(tensor.name)) {
      const Tensor state = trace.load(array("state", tensor.name, t, name));
      const PeerSlot* slot = dialect.find_slot(optimizer, name);
      if (!slot) {  // only a placeholder may have no counterpart
        if (state.size() != 1 || state.data[0] != 0) throw std::runtime_error(array("state", tensor.name, t, name));
        continue;
      }
      const Vector ours = reordered(optimizer.state(slot->slot)->data,
                                    dialect.order ? dialect.order(tensor.shape, slot->slot) : std::vector<int64_t>{});
      worst.state = std::max(worst.state, error(ours, state.data));
    }
  }
  return worst;
}

// float32 storage: from the recorded parameter of each step, with the reference's own state. Each stored R, C or V is
// rounded once a step, so after t steps it is within t u; u = g/sqrt(V^) takes half of R, C and sum R, its RMS in the
// clip as much again; the parameter is rounded once.
double replay_float32(const Trace& trace, const Trace::TensorInfo& tensor, const Make& make) {
  constexpr double kUnit = 0x1p-24;
  Optimizer optimizer = make(tensor.shape);
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
  const harness::ConformanceRow row = harness::check_conformance(Trace::read(GetParam()));
  EXPECT_TRUE(row.passed()) << harness::conformance_table({row});
}

INSTANTIATE_TEST_SUITE_P(Traces, ConformanceTest, testing::ValuesIn(traces()), [](const auto& parameter) {
  std::string name = parameter.param.stem();
  std::ranges::replace_if(
      name, [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

// A peer that was recorded under another step size than its metadata says.
TEST(ConformanceFolderTest, ARunUnderAnotherStepSizeIsOutsideTheLimits) {
  std::ifstream in(fs::path(CONFORMANCE_FOLDER) / "came-default.safetensors", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const size_t at = text.find("0.0002");  // of the options: the header comes first
  ASSERT_NE(at, text.npos);
  text[at + 5] = '3';
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  const auto row = harness::check_conformance(Trace(harness::SafeTensors::parse(std::move(bytes), "altered")));
  EXPECT_FALSE(row.passed());
  EXPECT_NE(harness::conformance_table({row}).find("FAIL"), std::string::npos);
}

// The bytes of a trace whose parameter ends in an infinity that the reference does not have.
std::vector<std::byte> ending_in_infinity(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const Trace trace = Trace::read(path);
  const auto name = array("param", trace.tensors().front().name, trace.steps());
  const double infinity = std::numeric_limits<double>::infinity();
  harness::store(trace.dtype(name), {&infinity, 1},
                 bytes.data() + sizeof(header) + header + harness::SafeTensors::read(path).find(name)->begin);
  return bytes;
}

TEST(ConformanceFolderTest, AnInfinityThatTheReferenceDoesNotHaveIsOutsideTheLimits) {
  for (const char* file : {"came-default.safetensors", "rlx-manual-lr.safetensors"}) {  // float64, float32
    const auto bytes = ending_in_infinity(fs::path(CONFORMANCE_FOLDER) / file);
    const auto row = harness::check_conformance(Trace(harness::SafeTensors::parse(bytes, "altered")));
    EXPECT_FALSE(row.passed()) << harness::conformance_table({row});
  }
}

TEST(ConformanceFolderTest, HoldsAllTraces) {
  std::map<std::string, int64_t> of_peer;
  for (const fs::path& path : traces()) {
    const Trace trace = Trace::read(path);
    ++of_peer[trace.peer()];
    if (trace.peer() == "adafactor8bit") ++of_peer[trace.peer() + trace.release()];
  }
  for (const char* peer : {"huggingface", "came", "apollo", "fira", "optax", "rlx"})
    EXPECT_GE(of_peer[peer], 4) << peer;
  for (const char* peer : {"torch", "torch-adamw", "galore", "pytorch-optimizer-adafactor", "pytorch-optimizer-came",
                           "timm-adafactor", "timm-adafactor-bv"})
    EXPECT_GE(of_peer[peer], 6) << peer;
  for (const Dialect& dialect : dialects()) {
    if (!dialect.versions.first) continue;
    EXPECT_GE(of_peer["adafactor8bit" + dialect.versions.first->text()], 1) << dialect.versions.text();
  }
}

// Own singular vectors against those that the peer used, up to sign, at every step: also the schedule of refreshes. The
// peers compute theirs in float32, so they are off by 2^-24 over the relative gap of the singular values.
TEST(ConformanceFolderTest, SingularVectorsAreThePeers) {
  for (const char* file : {"fira-default.safetensors", "apollo-svd.safetensors"}) {
    const Trace trace = Trace::read(fs::path(CONFORMANCE_FOLDER) / file);
    const Dialect& dialect = find_dialect(trace.peer());
    for (const auto& tensor : trace.tensors()) {
      Optimizer optimizer = dialect.make(options_of(trace), tensor.shape, {.recorded_projection = false});
      Tensor p = trace.parameter(tensor.name, 0);
      for (int64_t t = 1; t <= trace.steps(); ++t) {
        optimizer.step(p, trace.gradient(tensor.name, t));
        const Tensor theirs = trace.load(array("projection", tensor.name, t));
        const Tensor& ours = *optimizer.state(Slot::projection);
        ASSERT_EQ(ours.shape, theirs.shape);
        const bool right = tensor.shape[0] >= tensor.shape[1];
        const auto a = ours.matrix(0).matrix(), b = theirs.matrix(0).matrix();
        const Eigen::MatrixXd overlap = right ? Eigen::MatrixXd(a * b.transpose()) : Eigen::MatrixXd(a.transpose() * b);
        const auto distance = (overlap.cwiseAbs() - Eigen::MatrixXd::Identity(overlap.rows(), overlap.cols())).norm();
        EXPECT_LE(distance, 1e-4) << file << " " << tensor.name << " step " << t;
      }
    }
  }
}

// Each mutant is the peer's chain with one fault; on a trace where it matters it must leave the limits.
bool within_limits(const char* file, const Make& make, int64_t late = 0) {
  const Trace trace = Trace::read(fs::path(CONFORMANCE_FOLDER) / file);
  for (const auto& tensor : trace.tensors()) {
    const Worst of = replay(trace, find_dialect(trace.peer()), tensor, make, late);
    if (!(of.parameter <= 1e-14 && of.state <= 1e-14 && of.increment <= 1)) return false;
  }
  return true;
}

void add_moment(Chain& chain, const Shape& shape, const DecaySchedule& schedule, double eps1,
                double normalizer_floor = 0) {
  if (const auto axes = last_two_axes(shape))
    chain.add<FactoredMoment>(
        shape, *axes, FactoredMomentOptions{.schedule = schedule, .eps1 = eps1, .normalizer_floor = normalizer_floor});
  else
    chain.add<FullMoment>(shape, FullMomentOptions{.schedule = schedule, .eps1 = eps1});
}

constexpr double kLimit = harness::ConformanceLimits{}.norm;

// Recordings of adafactor8bit under another rule than their own: is any tensor outside the limits, or refused?
bool noticed(const Trace& trace, const Dialect& dialect, const std::vector<std::string>& defects) {
  const auto options = options_of(trace);
  for (const auto& tensor : trace.tensors()) try {
      const Worst worst = replay(trace, dialect, tensor, [&](const Shape& shape) {
        return dialect.make(options, shape, {.defects = defects});
      });
      if (!(worst.parameter <= kLimit && worst.state <= kLimit)) return true;
    } catch (const std::exception&) {
      return true;  // an option or a slot that the other rule does not have
    }
  return false;
}

std::vector<Trace> of_adafactor8bit() {
  std::vector<Trace> out;
  for (const auto& path : traces())
    if (path.filename().string().starts_with("adafactor8bit-")) out.push_back(Trace::read(path));
  return out;
}

TEST(Adafactor8bitRecordings, EachRuleDiffersFromTheNextInOneOfThem) {
  const auto recordings = of_adafactor8bit();
  std::vector<const Dialect*> rules;
  for (const Dialect& dialect : dialects())
    if (dialect.name == "adafactor8bit") rules.push_back(&dialect);
  for (size_t k = 0; k + 1 < rules.size(); ++k) {
    int64_t told_apart = 0;
    for (const Trace& trace : recordings) {
      const Dialect& own = find_dialect("adafactor8bit", trace.release());
      if (&own != rules[k] && &own != rules[k + 1]) continue;
      const Dialect& other = &own == rules[k] ? *rules[k + 1] : *rules[k];
      std::vector<std::string> defects;  // those that the other has, too
      for (const std::string& name : trace.defects())
        for (const Defect& defect : other.defects)
          if (defect.name == name) defects.push_back(name);
      told_apart += noticed(trace, other, defects);
    }
    EXPECT_GT(told_apart, 0) << rules[k]->versions.text() << " and " << rules[k + 1]->versions.text();
  }
}

TEST(Adafactor8bitRecordings, ADefectThatIsNotNamedIsNoticed) {
  std::map<std::string, int64_t> noticed_of;
  for (const Trace& trace : of_adafactor8bit())
    for (const std::string& name : trace.defects()) {
      std::vector<std::string> others = trace.defects();
      std::erase(others, name);
      noticed_of[name] += noticed(trace, find_dialect("adafactor8bit", trace.release()), others);
    }
  for (const Dialect& dialect : dialects())
    for (const Defect& defect : dialect.defects) EXPECT_GT(noticed_of[std::string(defect.name)], 0) << defect.name;
}

TEST(ConformanceMutantTest, Eps1OutsideTheAverage) {
  const auto make = [](bool outside) {
    return [outside](const Shape& shape) {
      Chain chain;
      add_moment(chain, shape, DecaySchedule::power(-0.8), outside ? 0 : 1e-4);
      chain.add<Precondition>(PreconditionOptions{.floor = outside ? 1e-4 : 0});
      chain.add<ClipByRms>(1);
      chain.add<StepSize>(StepSizeOptions{.relative = true, .eps2 = 0.3});
      chain.add<Descend>();
      return Optimizer(shape, chain.take());
    };
  };
  EXPECT_TRUE(within_limits("huggingface-eps.safetensors", make(false)));
  EXPECT_FALSE(within_limits("huggingface-eps.safetensors", make(true)));
}

TEST(ConformanceMutantTest, BetaSwappedWithOneMinusBeta) {
  const auto make = [](double beta2) {
    return [beta2](const Shape& shape) {
      return make_came({.lr = 1e-3, .beta1 = 0.8, .beta2 = beta2, .beta3 = 0.995}, shape);
    };
  };
  EXPECT_TRUE(within_limits("came-betas.safetensors", make(0.99)));
  EXPECT_FALSE(within_limits("came-betas.safetensors", make(1 - 0.99)));
}

TEST(ConformanceMutantTest, DecayMovedInTheChain) {
  enum class Decay { before, after, before_rms };
  const auto make = [](Decay decay) {
    return [decay](const Shape& shape) {
      Chain chain;
      const WeightDecayOptions weight_decay{0.1, DecayScale::lr, 1e-2};
      add_moment(chain, shape, DecaySchedule::power(-0.8), 0, 0x1p-52);
      chain.add<Precondition>(PreconditionOptions{.floor = 0x1p-104});
      chain.add<ClipByRms>(1);
      if (decay == Decay::before_rms) chain.add<WeightDecay>(weight_decay);
      chain.add<StepSize>(StepSizeOptions{.relative = true});
      if (decay == Decay::before) chain.add<WeightDecay>(weight_decay);
      chain.add<Descend>();
      if (decay == Decay::after) chain.add<WeightDecay>(weight_decay);
      return Optimizer(shape, chain.take());
    };
  };
  EXPECT_TRUE(within_limits("torch-decay.safetensors", make(Decay::before)));
  EXPECT_FALSE(within_limits("torch-decay.safetensors", make(Decay::after)));
  EXPECT_FALSE(within_limits("torch-decay.safetensors", make(Decay::before_rms)));  // RMS(p) after the decay
}

TEST(ConformanceMutantTest, LimiterOnTheFirstStep) {
  class Eager final : public Transform {
   public:
    explicit Eager(int64_t ahead) : ahead_(ahead) {}
    void apply(Step& step) override {
      step.scale /=
          limiter_.limit(step.t + ahead_, step.update_rms() * std::sqrt(static_cast<double>(step.update().size())));
    }
    Tensor* state(Slot slot) override { return limiter_.state(slot); }

   private:
    int64_t ahead_;
    Limiter limiter_;
  };
  const auto make = [](int64_t ahead) {
    return [ahead](const Shape& shape) {
      Projection p(shape, {.rank = 2, .source = nullptr});
      auto adam = adam_chain(p.low_shape(), 0.9, 0.999, 1e-6);
      Chain chain;
      chain.add<ProjectedScaling>(LowRank(std::move(p), adam.take()), ScaleType::channel);
      chain.add<Eager>(ahead);
      chain.add<BiasCorrection>(0.9, 0.999);
      chain.add<Scale>(0.01);
      chain.add<Descend>();
      return Optimizer(shape, chain.take());
    };
  };
  EXPECT_TRUE(within_limits("apollo-channel.safetensors", make(0)));
  EXPECT_FALSE(within_limits("apollo-channel.safetensors", make(1)));
}

TEST(ConformanceMutantTest, ProjectionRefreshedOneStepLate) {
  const auto make = [](const Shape& shape) {
    return make_apollo({.lr = 0.01, .rank = 2, .update_proj_gap = 3, .scale_type = ScaleType::channel}, shape, true);
  };
  EXPECT_TRUE(within_limits("apollo-channel.safetensors", make));
  EXPECT_FALSE(within_limits("apollo-channel.safetensors", make, 1));
}

TEST(ConformanceMutantTest, MeanWhereRlxSums) {
  // Where the clip acts it cancels the factor m of V^; eps1 = 1e-8 as a floor does not.
  const Trace trace = Trace::read(fs::path(CONFORMANCE_FOLDER) / "rlx-eps.safetensors");
  const Dialect& dialect = find_dialect("rlx");
  double sum = 0, mean = 0;
  for (const auto& tensor : trace.tensors()) {
    sum = std::max(sum, replay_float32(trace, tensor,
                                       [&](const Shape& shape) { return dialect.make(options_of(trace), shape, {}); }));
    mean = std::max(mean, replay_float32(trace, tensor, [&](const Shape& shape) {
                      Chain chain;
                      add_moment(chain, shape, DecaySchedule::power(-0.5), 1e-8, 1e-8);
                      chain.add<Precondition>(PreconditionOptions{.floor = 1e-8});
                      chain.add<ClipByRms>(1);
                      chain.add<StepSize>(StepSizeOptions{.relative = true, .eps2 = 0.1});
                      chain.add<Descend>();
                      return Optimizer(shape, chain.take());
                    }));
  }
  EXPECT_LE(sum, 1);
  EXPECT_FALSE(mean <= 1);
}

}  // namespace
}  // namespace plumbline::reference
