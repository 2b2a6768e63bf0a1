#include "harness/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "harness/error.h"
#include "properties/generated.h"

namespace plumbline::harness {
namespace {

using testing::HasSubstr;

// The message of the InputError that a line gives; empty when it is accepted.
std::string refusal(const std::string& line) {
  try {
    parse_problem(line);
    return {};
  } catch (const InputError& e) {
    return e.what();
  }
}

TEST(Problem, PrintsWhatDiffersFromTheDefaultsAndAlwaysShapeStepsAndSeed) {
  EXPECT_EQ(to_string(Problem{}), "shape=64x64 data=gaussian:-6 init=-4 steps=3 seed=1");
  const std::string line =
      "shape=2x3x5 param=f16 grad=bf16 storage=log_u8 block=128 min_quantized_size=0 parameter_norm=carried lr=0.25 "
      "beta2=0.99 weight_decay_by=lr nonfinite=skip data=heavy_tail:-3 init=2 focus=clip,beta2 steps=7 seed=42";
  EXPECT_EQ(to_string(parse_problem(line)), line);
  const Problem p = parse_problem(line);
  EXPECT_EQ(p.shape, (std::vector<int64_t>{2, 3, 5}));
  EXPECT_EQ(p.elements(), 30);
  EXPECT_EQ(p.options.lr, 0.25);
  EXPECT_EQ(p.options.beta2, 0.99);
  EXPECT_EQ(p.options.nonfinite, reference::Nonfinite::skip);
  EXPECT_EQ(p.data.regime, Regime::heavy_tail);
  EXPECT_EQ(p.data.parameter_exponent, 2);
  EXPECT_EQ(p.focus, (std::vector{Feature::clip, Feature::beta2}));
  EXPECT_TRUE(p.carried_norm);
}

TEST(Problem, ItsLineParsesBackToAnEqualProblem) {
  std::set<std::string> lines;
  for (const uint64_t seed : {11, 12, 13, 14})
    for (const Problem& p : properties::generate_problems(seed, 500, 1 << 16)) {
      const std::string line = to_string(p);
      EXPECT_EQ(parse_problem(line), p) << line;
      lines.insert(line);
    }
  EXPECT_GT(lines.size(), 1990u);
}

TEST(Problem, NumbersKeepTheirLastBitInTheLine) {
  Problem p;
  p.options.lr = 0.1 + 0.2;
  p.options.eps1 = 0x1.fffffffffffffp-90;
  p.options.beta2 = 1 - 0x1p-53;
  p.seed = 18446744073709551615u;
  EXPECT_EQ(parse_problem(to_string(p)), p);
}

TEST(Problem, ReadsATraceAndItsTensor) {
  const Problem p = parse_problem("shape=4x4 trace=run.safetensors tensor=layer.0 steps=2 seed=9");
  EXPECT_EQ(p.data.trace, "run.safetensors");
  EXPECT_EQ(p.data.tensor, "layer.0");
  EXPECT_EQ(parse_problem(to_string(p)), p);
}

TEST(Problem, BadInputIsRefusedByNameWithWhatWasExpected) {
  const std::vector<std::tuple<std::string, std::string, std::string>> bad = {
      {"shape=0x4", "shape=0", "integer in [1, "},
      {"shape=4x", "shape=", "integer in [1, "},
      {"shape=x4", "shape=", "integer in [1, "},
      {"shape=-3", "shape=-3", "integer in [1, "},
      {"shape=3.5", "shape=3.5", "integer in [1, "},
      {"shape=4X4", "shape=4X4", "integer in [1, "},
      {"shape=99999999999999999999", "shape=99999999999999999999", "integer in [1, "},
      {"shape=65537x65537", "shape=65537x65537", "2^32 elements"},
      {"shape=4294967296x4294967296x4294967296", "shape=", "2^32 elements"},
      {"param=f8", "f8", "f64, f32, bf16 or f16"},
      {"grad=int8", "int8", "f64, f32, bf16 or f16"},
      {"param=f64", "param", "f32, bf16 or f16"},
      {"grad=f64", "grad", "f32, bf16 or f16"},
      {"storage=al9", "storage=al9", "fp32, al8, log_u8, linear_u8"},
      {"block=63", "block=63", "[64, 2048]"},
      {"block=4096", "block=4096", "[64, 2048]"},
      {"block=100", "block=100", "power of two"},
      {"gradient_scale=0", "gradient_scale=0", "finite float32 above 0"},
      {"gradient_scale=inf", "gradient_scale=inf", "finite float32 above 0"},
      {"gradient_scale=0.1", "gradient_scale=0.1", "finite float32 above 0"},
      {"gradient_scale=1e39", "gradient_scale=1e", "finite float32 above 0"},
      {"min_quantized_size=-1", "min_quantized_size=-1", "[0, "},
      {"parameter_norm=stale", "parameter_norm=stale", "fresh or carried"},
      {"data=gausian", "data=gausian", "gaussian, wide"},
      {"data=gaussian:1e3", "data exponent=1e3", "[-140, 60]"},
      {"data=gaussian:-141", "data exponent=-141", "[-140, 60]"},
      {"data=gaussian:", "data exponent=", "[-140, 60]"},
      {"init=61", "init=61", "[-140, 60]"},
      {"steps=0", "steps=0", "[1, 1000000]"},
      {"steps=1000001", "steps=1000001", "[1, 1000000]"},
      {"steps=1.5", "steps=1.5", "integer"},
      {"seed=-1", "seed=-1", "integer"},
      {"seed=18446744073709551616", "seed=18446744073709551616", "integer"},
      {"focus=klip", "focus=klip", "clip, eps1"},
      {"focus=clip,", "focus=", "clip, eps1"},
      {"lr=-1", "lr", "-1"},
      {"lr=nan", "lr", "nan"},
      {"lr=inf", "lr", "inf"},
      {"lr=1e", "lr", "1e"},
      {"beta2=1", "beta2", "[0, 1)"},
      {"beta2_decay=0.5", "beta2_decay", "0]"},
      {"nonfinite=ignore", "nonfinite", "propagate|zero|skip"},
      {"maximize=yes", "maximize", "true|false"},
      {"clip", "'clip'", "name=value"},
      {"=3", "'=3'", "name=value"},
      {"clip=", "'clip='", "name=value"},
      {"steps=1 steps=2", "steps", "twice"},
      {"learning_rate=1", "learning_rate", "weight_decay"},
      {"trace=x.safetensors", "trace", "both or neither"},
      {"tensor=w", "tensor", "both or neither"},
      {"data=spike steps=1", "data=spike", "steps >= 2"},
      {"beta2=0.9 beta2_decay=-0.5", "beta2", "one of them"},
  };
  for (const auto& [line, names, expects] : bad) {
    const std::string message = refusal(line);
    EXPECT_THAT(message, HasSubstr(names)) << line;
    EXPECT_THAT(message, HasSubstr(expects)) << line;
    EXPECT_EQ(message.find('\n'), message.npos) << line;
  }
}

TEST(Problem, AnImpossibleOneIsRefusedAlsoWhenItWasNotParsed) {
  auto refused = [](auto change) {
    Problem p;
    change(p);
    EXPECT_THROW(validate(p), InputError) << to_string(p);
  };
  EXPECT_NO_THROW(validate(Problem{}));
  refused([](Problem& p) { p.shape = {}; });
  refused([](Problem& p) { p.shape = {4, 0}; });
  refused([](Problem& p) { p.shape = {-2, -2}; });
  refused([](Problem& p) { p.steps = 0; });
  refused([](Problem& p) { p.block = 0; });
  refused([](Problem& p) { p.block = 96; });
  refused([](Problem& p) { p.gradient_scale = std::numeric_limits<double>::infinity(); });
  refused([](Problem& p) { p.options.lr = -1; });
  refused([](Problem& p) { p.options.clip = std::nan(""); });
  refused([](Problem& p) { p.parameter = DType::float64; });
}

TEST(Problem, QuantizesNothingBelowTheSmallestSize) {
  Problem p;
  p.shape = {64, 63};
  EXPECT_EQ(p.effective_storage(), Storage::fp32);
  p.shape = {64, 64};
  EXPECT_EQ(p.effective_storage(), Storage::al8);
  p.min_quantized_size = 4097;
  EXPECT_EQ(p.effective_storage(), Storage::fp32);
}

TEST(Problem, IsFactoredFromTwoAxesOn) {
  Problem p;
  p.shape = {64};
  EXPECT_FALSE(p.factored());
  p.shape = {1, 64};
  EXPECT_TRUE(p.factored());
  p.options.factored = false;
  EXPECT_FALSE(p.factored());
}

}  // namespace
}  // namespace plumbline::harness
