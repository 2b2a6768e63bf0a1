// The reference against layers that PyTorch computed on a GPU: scales, codes and accumulators exactly, outputs and
// input gradients within the bound of their type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "harness/format.h"
#include "harness/linear/contract.h"
#include "harness/linear/data.h"
#include "harness/trace.h"

namespace plumbline::harness {
namespace {

using reference::Matrix;
using reference::QuantizedRows;
using reference::ScaleRule;

class Recording {
 public:
  explicit Recording(const std::string& name)
      : file_(SafeTensors::read(layer_path(name))), problem_(recorded_problem(name)) {
    const LinearInputs inputs = make_inputs(problem_);
    values_ = load_values(problem_, inputs);
  }
  template <class T>
  std::vector<T> array(const char* name) const {
    const SafeTensors::Array* a = file_.find(name);
    EXPECT_NE(a, nullptr) << name;
    std::vector<T> out((a->end - a->begin) / sizeof(T));
    std::memcpy(out.data(), file_.data(*a), a->end - a->begin);
    return out;
  }
  bool has(const char* name) const { return file_.find(name) != nullptr; }
  const LinearProblem& problem() const { return problem_; }
  const LinearValues& values() const { return values_; }
  // The weight as the layer multiplied by it: fl32(E4M3 s).
  Matrix weight() const {
    return values_.weight.unaryExpr([](double w) { return double(float(w)); });
  }
  ScaleRule rule() const {
    return problem_.type == DType::bfloat16 ? ScaleRule::torch_bfloat16 : ScaleRule::torch_float32;
  }

 private:
  SafeTensors file_;
  LinearProblem problem_;
  LinearValues values_;
};

class RecordedLayers : public testing::TestWithParam<std::string> {};

TEST_P(RecordedLayers, WeightScalesAndCodesAreExact) {
  const Recording r(GetParam());
  const QuantizedRows w = reference::quantize_rows(r.weight(), ScaleRule::torch_float32);
  EXPECT_EQ(w.codes, r.array<int8_t>("weight_int8"));
  const auto scales = r.array<float>("weight_scale");
  EXPECT_EQ(w.scales, std::vector<double>(scales.begin(), scales.end()));
}

TEST_P(RecordedLayers, ActivationScalesCodesAndAccumulatorsAreExact) {
  const Recording r(GetParam());
  EXPECT_EQ(r.has("x_int8"), r.problem().tokens > reference::kSmallBatchTokens);
  if (!r.has("x_int8")) return;
  const QuantizedRows x = reference::quantize_rows(r.values().x, r.rule());
  EXPECT_EQ(x.codes, r.array<int8_t>("x_int8"));
  const auto scales = r.array<float>("x_scale");
  EXPECT_EQ(x.scales, std::vector<double>(scales.begin(), scales.end()));
  const auto sums = r.array<int32_t>("accumulator");
  const QuantizedRows w = reference::quantize_rows(r.weight(), ScaleRule::torch_float32);
  EXPECT_EQ(reference::integer_product(x, w), std::vector<int64_t>(sums.begin(), sums.end()));
}

// Largest distance of stored values from expected ones over the bound.
double largest_ratio(DType type, const std::vector<std::byte>& got, const LinearBound& b) {
  std::vector<double> values(size_t(b.expected.size()));
  EXPECT_EQ(got.size(), values.size() * size_of(type));
  load(type, got.data(), values);
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const Interval in = rounding_interval(type, values[i]);
    const double expected = b.expected.data()[i];
    const double distance = type == DType::float32 ? std::fabs(values[i] - expected)
                                                   : std::max({in.low - expected, expected - in.high, 0.0});
    const double ratio = distance == 0 ? 0 : distance / b.bound.data()[i];
    largest = std::isnan(ratio) ? HUGE_VAL : std::max(largest, ratio);
  }
  return largest;
}

TEST_P(RecordedLayers, OutputsAreWithinTheBoundOfTheirType) {
  const Recording r(GetParam());
  const LinearProblem& p = r.problem();
  const QuantizedRows w = reference::quantize_rows(r.weight(), ScaleRule::torch_float32);
  LinearBound y;
  if (r.has("x_int8")) {
    y = product_bound(p, reference::quantize_rows(r.values().x, r.rule()), w, r.values().bias);
    // the bias is added to a rounded product, not in one operation with it
    y.bound += 0x1p-24 * y.expected.abs() + 0x1p-24 * r.values().bias.abs().transpose().replicate(p.tokens, 1);
  } else {
    // in any order: as many roundings as there are inputs; the weight is rounded to the type of the input
    y = sum_bound(r.values().x, reference::dequantize_rows(w), true, r.values().bias, p.inputs, false);
    if (p.type == DType::bfloat16)
      y.bound += reference::linear(r.values().x.abs(), reference::dequantize_rows(w).abs(), {}) * 0x1p-8;
  }
  EXPECT_LE(largest_ratio(p.type, r.array<std::byte>("output"), y), 1);
}

TEST_P(RecordedLayers, InputGradientsAreWithinTheBoundOfTheirType) {
  const Recording r(GetParam());
  const QuantizedRows w = reference::quantize_rows(r.weight(), ScaleRule::torch_float32);
  LinearBound g =
      sum_bound(r.values().grad_output, reference::dequantize_rows(w), false, {}, r.problem().outputs, false);
  // of a small batch, the multiplied weight is the one rounded to the type of the input
  if (r.problem().small_batch() && r.problem().type == DType::bfloat16)
    g.bound += reference::input_gradient(r.values().grad_output.abs(), reference::dequantize_rows(w).abs()) * 0x1p-8;
  EXPECT_LE(largest_ratio(r.problem().type, r.array<std::byte>("grad_input"), g), 1);
}

INSTANTIATE_TEST_SUITE_P(All, RecordedLayers, testing::ValuesIn(recorded_layers()), [](const auto& layer) {
  std::string name = layer.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace plumbline::harness
