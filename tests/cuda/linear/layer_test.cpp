#include "cuda/linear/layer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <limits>

#include "tests/cuda/linear/sample.h"

namespace plumbline::linear {
namespace {

LayerConfig on(Backend backend, uint64_t schedule = 0) {
  LayerConfig config;
  config.backend = backend;
  config.schedule_seed = schedule;
  config.record_accumulators = true;
  return config;
}

TEST(LinearLayer, KernelsUnderTheEmulatorGiveTheTwinsBits) {
  const uint64_t seed = std::random_device{}();
  std::printf("seeds from %llu\n", static_cast<unsigned long long>(seed));
  for (uint64_t i = 0; i < 24; ++i) {
    const Sample sample = draw_sample(seed + i, 1 << 19);
    const Outcome twin = run_sample<HostBuffer>(sample, on(Backend::host));
    const Outcome emulated = run_sample<HostBuffer>(sample, on(Backend::emulator, i));
    EXPECT_EQ(twin.difference(emulated), "") << sample.text;
  }
}

// A small layer with everything set.
struct Small {
  LayerSpec spec{48, 24, Mode::int8, Type::float32, true, 32};
  std::vector<float> weight = std::vector<float>(48 * 24, 0.5f), x = std::vector<float>(32 * 48, 1.0f),
                     y = std::vector<float>(32 * 24), bias = std::vector<float>(24, 0.25f);
  HostBuffer weight_buffer{48 * 24 * 4}, x_buffer{32 * 48 * 4}, y_buffer{32 * 24 * 4};
  Layer make(const LayerConfig& config = on(Backend::host)) {
    Layer layer(spec, config);
    weight_buffer.write(to_type(Type::float32, weight));
    layer.set_weight(weight_buffer.data(), Type::float32);
    layer.set_bias(bias.data());
    return layer;
  }
  std::vector<float> forward(Layer& layer, int64_t tokens) {
    x_buffer.write(to_type(Type::float32, x));
    layer.forward(x_buffer.data(), tokens, y_buffer.data());
    std::vector<std::byte> bytes(size_t(tokens) * 24 * 4);
    y_buffer.read(bytes);
    std::memcpy(y.data(), bytes.data(), bytes.size());
    return y;
  }
};

std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const OptionError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(LinearLayer, AWeightGradientIsRefused) {
  Small small;
  Layer layer = small.make();
  EXPECT_EQ(refusal([&] { layer.backward_weight(nullptr, nullptr, 1, nullptr); }),
            "W8A8 does not support weight gradients");
}

TEST(LinearLayer, ScalesThatDoNotFitAreNamed) {
  Small small;
  for (const Mode mode : {Mode::int8, Mode::fp8}) {
    small.spec.mode = mode;
    Layer layer(small.spec, on(Backend::host));
    const auto with = [&](ScaleKind kind, std::vector<int64_t> shape) {
      return refusal([&] {
        layer.set_weight(Fp8Weight{static_cast<const uint8_t*>(small.weight_buffer.data()), kind, small.bias.data(),
                                   std::move(shape)});
      });
    };
    EXPECT_EQ(with(ScaleKind::channel, {23}),
              "scales of shape (23): expected (24) or (24, 1) for a weight of 24 outputs and 48 inputs");
    EXPECT_EQ(with(ScaleKind::tensor, {2}),
              "scales of shape (2): expected one, shape () or (1), for a weight of 24 outputs and 48 inputs");
    EXPECT_EQ(
        with(ScaleKind::block, {24, 5, 1}),
        "scales of shape (24, 5, 1): expected (24, blocks) or (24, blocks, 1) with a number of blocks that divides "
        "the inputs for a weight of 24 outputs and 48 inputs");
    for (const auto& shape : std::vector<std::vector<int64_t>>{{}, {48}, {4, 24}, {24, 0}, {24, 4, 2}})
      EXPECT_NE(with(ScaleKind::block, shape), "accepted");
    EXPECT_EQ(with(ScaleKind::tensor, {}), "accepted");
    EXPECT_EQ(with(ScaleKind::channel, {24, 1}), "accepted");
  }
}

TEST(LinearLayer, BadPointersAndCallsAreRefusedBeforeAnythingIsWritten) {
  Small small;
  Layer layer = small.make();
  auto* x = static_cast<std::byte*>(small.x_buffer.data());
  auto* y = static_cast<std::byte*>(small.y_buffer.data());
  small.y_buffer.write(std::vector<std::byte>(32 * 24 * 4, std::byte{7}));
  EXPECT_EQ(refusal([&] { layer.forward(nullptr, 20, y); }), "x: null pointer");
  EXPECT_EQ(refusal([&] { layer.forward(x, 20, nullptr); }), "y: null pointer");
  EXPECT_NE(refusal([&] { layer.forward(x + 4, 20, y); }).find("is not a multiple of 16 bytes"), std::string::npos);
  EXPECT_NE(refusal([&] { layer.forward(x, 20, y + 2); }).find("is not a multiple of 16 bytes"), std::string::npos);
  EXPECT_EQ(refusal([&] { layer.forward(x, 0, y); }), "tokens = 0: expected 1 to 32");
  EXPECT_EQ(refusal([&] { layer.forward(x, 33, y); }), "tokens = 33: expected 1 to 32");
  EXPECT_EQ(refusal([&] { layer.backward_input(nullptr, 20, y); }), "grad_output: null pointer");
  EXPECT_EQ(refusal([&] { layer.set_weight(nullptr, Type::float32); }), "weight: null pointer");
  EXPECT_EQ(refusal([&] { layer.set_bias(nullptr); }), "bias: null pointer");
  Layer empty(small.spec, on(Backend::host));
  EXPECT_EQ(refusal([&] { empty.forward(x, 20, y); }), "the layer has no weight yet");
  std::vector<std::byte> left(32 * 24 * 4);
  small.y_buffer.read(left);
  EXPECT_EQ(left, std::vector<std::byte>(32 * 24 * 4, std::byte{7}));
}

TEST(LinearLayer, MoreInputsThanTheAccumulatorHoldsAreRefused) {
  LayerSpec spec{132104, 1, Mode::int8, Type::float32, false, 17};
  EXPECT_NO_THROW(Layer(spec, on(Backend::host)));
  ++spec.inputs;
  EXPECT_EQ(refusal([&] { Layer(spec, on(Backend::host)); }),
            "inputs = 132105: expected 1 to 132104 (the int32 accumulator is exact up to there)");
  spec.mode = Mode::fp8;
  EXPECT_NO_THROW(Layer(spec, on(Backend::host)));
}

TEST(LinearLayer, TheLargestAccumulatorIsExact) {
  LayerSpec spec{132104, 2, Mode::int8, Type::float32, false, 17};
  Layer layer(spec, on(Backend::host));
  std::vector<int8_t> codes(size_t(2 * spec.inputs), 127);
  std::fill(codes.begin() + spec.inputs, codes.end(), int8_t{-128});  // as codes from outside may be
  const std::vector<float> scales = {1, 1};
  layer.set_weight_codes(codes.data(), scales.data());
  HostBuffer x(size_t(17 * spec.inputs) * 4), y(17 * 2 * 4);
  x.write(to_type(Type::float32, std::vector<float>(size_t(17 * spec.inputs), 127.0f)));
  layer.forward(x.data(), 17, y.data());
  const std::vector<int32_t> sums = layer.last_accumulators();
  ASSERT_EQ(sums.size(), 34u);
  EXPECT_EQ(sums[0], 127 * 127 * 132104);
  EXPECT_EQ(sums[1], -128 * 127 * 132104);
  EXPECT_LT(int64_t(sums[1]) - 128 * 127, -std::numeric_limits<int32_t>::max());
}

TEST(LinearLayer, ATokenThatIsNotFiniteBecomesNanAndTouchesNoOther) {
  for (const Backend backend : {Backend::host, Backend::emulator})
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      Small small;
      Layer layer = small.make(on(backend));
      const std::vector<float> before = small.forward(layer, 20);
      small.x[3 * 48 + 17] = bad;
      const std::vector<float> after = small.forward(layer, 20);
      for (size_t i = 0; i < 20 * 24; ++i) {
        if (i / 24 == 3)
          EXPECT_TRUE(std::isnan(after[i])) << i;
        else
          EXPECT_EQ(after[i], before[i]) << i;
      }
    }
}

TEST(LinearLayer, AnOutputChannelThatIsNotFiniteBecomesNanAndTouchesNoOther) {
  Small small;
  small.weight[5 * 48 + 2] = std::numeric_limits<float>::infinity();
  Layer layer = small.make();
  for (const int64_t tokens : {4, 20}) {
    const std::vector<float> y = small.forward(layer, tokens);
    for (size_t i = 0; i < size_t(tokens) * 24; ++i) EXPECT_EQ(std::isnan(y[i]), i % 24 == 5) << i;
  }
}

TEST(LinearLayer, ScratchIsCodesAndScalesAlone) {
  LayerSpec spec{4096, 11008, Mode::int8, Type::bfloat16, false, 4096};
  LayerConfig config;
  EXPECT_EQ(Layer(spec, config).scratch_bytes(), size_t(4096) * 4096 + 4096 * 4);
  spec.max_tokens = 16;
  EXPECT_EQ(Layer(spec, config).scratch_bytes(), 0u);
}

}  // namespace
}  // namespace plumbline::linear
