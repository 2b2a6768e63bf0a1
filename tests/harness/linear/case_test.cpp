#include "harness/linear/case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "harness/error.h"
#include "harness/linear/data.h"
#include "harness/linear/subject.h"
#include "harness/subject.h"
#include "tests/harness/trace_file.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

// The host twin's layer with what it shows corrupted.
class Corrupted final : public Subject, public LinearSubject {
 public:
  using Corrupt = std::function<void(LinearObservation&)>;
  explicit Corrupted(Corrupt corrupt) : corrupt_(std::move(corrupt)) {}
  std::string name() const override { return "corrupted"; }
  std::string cannot_run(const Problem&) const override { return {}; }
  std::unique_ptr<Session> start(const Problem& p, std::span<const std::byte> bytes) const override {
    return host_->start(p, bytes);
  }
  const LinearSubject* linear() const override { return this; }
  std::string cannot_run(const LinearProblem&) const override { return {}; }
  LinearObservation run(const LinearProblem& p, const LinearInputs& in) const override {
    LinearObservation out = host_->linear()->run(p, in);
    corrupt_(out);
    return out;
  }
  LinearArithmetic arithmetic(const LinearProblem& p) const override { return host_->linear()->arithmetic(p); }

 private:
  std::unique_ptr<Subject> host_ = make_subject("host");
  Corrupt corrupt_;
};

constexpr const char* kLine = "w8a8 tokens=20 inputs=64 outputs=24 weight=f32 data=gaussian:0 seed=5";

CaseResult run(Corrupted::Corrupt corrupt, const char* line = kLine) {
  return run_case(parse_linear_problem(line), Corrupted(std::move(corrupt)));
}

template <class T>
T& at(std::vector<std::byte>& bytes, size_t i) {
  return reinterpret_cast<T*>(bytes.data())[i];
}

TEST(LinearCase, AnHonestSubjectPasses) {
  const CaseResult result = run([](LinearObservation&) {});
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  std::vector<Quantity> judged;
  for (const QuantityResult& q : result.quantities) judged.push_back(q.quantity);
  EXPECT_EQ(judged,
            (std::vector<Quantity>{Quantity::weight_scale, Quantity::weight_code, Quantity::activation_scale,
                                   Quantity::activation_code, Quantity::accumulator, Quantity::output,
                                   Quantity::quantization, Quantity::quantization_likely, Quantity::input_gradient}));
}

TEST(LinearCase, TheFirstBrokenStageIsNamed) {
  struct Example {
    Quantity broken;
    Corrupted::Corrupt corrupt;
  };
  const Example examples[] = {
      {Quantity::weight_scale, [](LinearObservation& o) { o.weight->scales[3] *= 1 + 0x1p-22f; }},
      {Quantity::weight_code, [](LinearObservation& o) { ++o.weight->codes[77]; }},
      {Quantity::activation_scale, [](LinearObservation& o) { o.activation->scales[19] *= 1 + 0x1p-22f; }},
      {Quantity::activation_code, [](LinearObservation& o) { --o.activation->codes[5]; }},
      {Quantity::accumulator, [](LinearObservation& o) { ++(*o.accumulators)[479]; }},
      {Quantity::output, [](LinearObservation& o) { at<float>(o.output, 31) *= 1 + 0x1p-20f; }},
      {Quantity::input_gradient, [](LinearObservation& o) { at<float>(o.input_gradient, 9) += 1e-6f; }},
  };
  for (const Example& example : examples) {
    const CaseResult result = run(example.corrupt);
    EXPECT_EQ(result.verdict, Verdict::fail) << to_string(example.broken);
    ASSERT_TRUE(result.first_broken.has_value());
    EXPECT_STREQ(to_string(*result.first_broken), to_string(example.broken));
    EXPECT_THAT(result.reason, HasSubstr(to_string(example.broken)));
  }
}

TEST(LinearCase, NanNeverPasses) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run([&](LinearObservation& o) { at<float>(o.output, 0) = nan; }).verdict, Verdict::fail);
  EXPECT_EQ(run([&](LinearObservation& o) { at<float>(o.input_gradient, 0) = nan; }).verdict, Verdict::fail);
  EXPECT_EQ(run([&](LinearObservation& o) { o.activation->scales[0] = nan; }).verdict, Verdict::fail);
  EXPECT_EQ(run([&](LinearObservation& o) { at<float>(o.output, 0) = std::numeric_limits<float>::infinity(); }).verdict,
            Verdict::fail);
}

TEST(LinearCase, ANumberWhereNanIsDueFails) {
  const char* line = "w8a8 tokens=20 inputs=64 outputs=24 weight=f32 data=nonfinite:0 seed=5";
  EXPECT_EQ(run([](LinearObservation&) {}, line).verdict, Verdict::pass);
  const CaseResult result = run([](LinearObservation& o) { at<float>(o.output, 3 * 24) = 0; }, line);
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken, Quantity::output);
}

TEST(LinearCase, MissingPartsAndWrongSizesAreErrors) {
  EXPECT_EQ(run([](LinearObservation& o) { o.weight.reset(); }).verdict, Verdict::error);
  EXPECT_EQ(run([](LinearObservation& o) { o.activation.reset(); }).verdict, Verdict::error);
  EXPECT_EQ(run([](LinearObservation& o) { o.output.pop_back(); }).verdict, Verdict::error);
  EXPECT_EQ(run([](LinearObservation& o) { o.activation->codes.pop_back(); }).verdict, Verdict::error);
  EXPECT_EQ(run([](LinearObservation& o) { o.accumulators->pop_back(); }).verdict, Verdict::error);
  EXPECT_EQ(run([](LinearObservation& o) { o.accumulators.reset(); }).verdict, Verdict::pass);  // need not be shown
}

TEST(LinearCase, SixteenBitOutputsAreAcceptedExactlyWhereTheyRoundWhatTheBoundHolds) {
  const char* line = "w8a8 tokens=20 inputs=64 outputs=24 type=bf16 weight=f32 data=gaussian:0 seed=5";
  EXPECT_EQ(run([](LinearObservation&) {}, line).verdict, Verdict::pass);
  const CaseResult result = run([](LinearObservation& o) { at<uint16_t>(o.output, 7) += 1; }, line);
  EXPECT_EQ(result.verdict, Verdict::fail);
  EXPECT_EQ(result.first_broken, Quantity::output);
}

TEST(LinearCase, OnExactDataEveryBoundIsZero) {
  const CaseResult result =
      run([](LinearObservation&) {}, "w8a8 tokens=20 inputs=64 outputs=24 weight=codes data=integers:0 seed=5");
  EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  for (const QuantityResult& q : result.quantities)
    if (q.quantity == Quantity::output || q.quantity == Quantity::input_gradient) {
      EXPECT_EQ(q.worst.bound, 0) << to_string(q.quantity);
      EXPECT_EQ(q.ratios.largest, 0) << to_string(q.quantity);
    }
}

TEST(LinearCase, ACaseThatCouldNotFailIsVacuous) {
  // activations so far below the floor of the scale that every code is 0
  const CaseResult result =
      run([](LinearObservation&) {}, "w8a8 tokens=20 inputs=64 outputs=24 weight=f32 bias=false data=tiny:-110 seed=5");
  EXPECT_EQ(result.verdict, Verdict::vacuous);
  EXPECT_THAT(result.reason, HasSubstr("used only 1 codes"));
}

TEST(LinearCase, TheTwinsBitsAreCompared) {
  const auto host = make_subject("host");
  CaseOptions options;
  options.twin = host.get();
  const Corrupted flips([](LinearObservation& o) { o.output[0] ^= std::byte{1}; });
  const CaseResult result = run_case(parse_linear_problem(kLine), flips, options);
  EXPECT_EQ(result.verdict, Verdict::fail);
  bool seen = false;
  for (const QuantityResult& q : result.quantities)
    if (q.quantity == Quantity::twin_bits) {
      seen = true;
      EXPECT_EQ(q.worst.got, 1);
    }
  EXPECT_TRUE(seen);
}

TEST(LinearCase, ASubjectWithoutALinearLayerIsSkipped) {
  class None final : public Subject {
   public:
    std::string name() const override { return "none"; }
    std::string cannot_run(const Problem&) const override { return {}; }
    std::unique_ptr<Session> start(const Problem&, std::span<const std::byte>) const override { return nullptr; }
  } none;
  const CaseResult result = run_case(parse_linear_problem(kLine), none);
  EXPECT_EQ(result.verdict, Verdict::skipped);
  EXPECT_THAT(result.reason, HasSubstr("no linear layer"));
}

TEST(LinearCase, ARecordingThatDoesNotFitIsBadInput) {
  EXPECT_THROW(
      run([](LinearObservation&) {}, "w8a8 tokens=20 inputs=64 outputs=24 layer=33x64x48-float32-tensor seed=1"),
      InputError);
  EXPECT_THROW(run([](LinearObservation&) {}, "w8a8 layer=none seed=1"), InputError);
}

// Weights of the size of float32's range: sums run out of it, in the layer as in the reference.
TEST(LinearCase, ScalesAtTheEndOfTheRangeAreJudgedByKind) {
  TraceFile file;
  auto& meta = file.header["__metadata__"];
  meta = {{"format", "w8a8-linear/1"}, {"tokens", "20"},     {"in_features", "16"},
          {"out_features", "4"},       {"dtype", "float32"}, {"fp8_scaling", "tensor"}};
  const auto add = [&](const char* name, const char* type, std::vector<int64_t> shape, const auto& values) {
    file.add(name, type, std::move(shape),
             {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  std::vector<float> x(20 * 16), grad(20 * 4), scale = {std::numeric_limits<float>::max()};
  std::vector<uint8_t> weight(4 * 16);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(int(i * 7 % 31) - 15) / 8;
  for (size_t i = 0; i < grad.size(); ++i) grad[i] = float(int(i * 5 % 17) - 8) / 4;
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = uint8_t(i * 11 % 0x40 | (i % 3 == 0 ? 0x80 : 0));
  add("x", "F32", {20, 16}, x);
  add("grad_output", "F32", {20, 4}, grad);
  add("weight_fp8", "U8", {4, 16}, weight);
  add("weight_scale_fp8", "F32", {1}, scale);
  const auto path = std::filesystem::path(testing::TempDir()) / "plumbline-largest-scale.safetensors";
  file.write(path);
  for (const LayerMode mode : {LayerMode::int8, LayerMode::fp8}) {
    LinearProblem problem = recorded_problem(path.string());
    problem.mode = mode;
    const CaseResult result = run([](LinearObservation&) {}, to_string(problem).c_str());
    EXPECT_TRUE(result.verdict == Verdict::pass || result.verdict == Verdict::vacuous)
        << to_string(mode) << ": " << to_string(result.verdict) << ": " << result.reason;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace plumbline::harness
