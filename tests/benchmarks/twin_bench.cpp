// One step of the host twin, nanoseconds per element on one core.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cuda/api/optimizer.h"

namespace plumbline {
namespace {

struct alignas(16) Word {
  float x[4];
};

struct Case {
  const char* name;
  int64_t rows, cols;
  Type type;
  bool factored;
  Storage storage;
  ParameterNorm norm;
  std::vector<std::pair<const char*, const char*>> options = {};
};

void step(benchmark::State& state, const Case& c) {
  GroupOptions options;
  options.factored = c.factored;
  options.storage = c.storage;
  options.parameter_norm = c.norm;
  for (const auto& [name, value] : c.options) set_option(options, name, value);
  TensorSpec spec;
  spec.name = "w";
  spec.shape = {c.rows, c.cols};
  spec.parameter = spec.gradient = c.type;
  Optimizer optimizer({spec}, {options}, {});

  const int64_t size = c.rows * c.cols, words = size / 4;
  std::vector<Word> parameter(static_cast<size_t>(words)), gradient(static_cast<size_t>(words));
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0f, 0.01f);
  for (auto* tensor : {&parameter, &gradient}) {
    for (int64_t i = 0; i < size; ++i) {
      if (c.type == Type::float32) {
        reinterpret_cast<float*>(tensor->data())[i] = normal(random);
      } else {
        reinterpret_cast<uint16_t*>(tensor->data())[i] = uint16_t(0x3c00u + (random() & 0x81ffu));
      }
    }
  }
  const TensorPointers pointers[] = {{parameter.data(), gradient.data()}};
  for (auto _ : state) optimizer.step(pointers);
  state.counters["element_time"] =
      benchmark::Counter(double(size), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

Case momentum(const char* name, std::vector<std::pair<const char*, const char*>> options) {
  return {name, 2048, 2048, Type::float32, true, Storage::al8, ParameterNorm::fresh, std::move(options)};
}

const Case kCases[] = {
    {"factored/float32/fp32/fresh", 4096, 4096, Type::float32, true, Storage::fp32, ParameterNorm::fresh},
    {"factored/float32/al8/fresh", 4096, 4096, Type::float32, true, Storage::al8, ParameterNorm::fresh},
    {"factored/float32/al8/carried", 4096, 4096, Type::float32, true, Storage::al8, ParameterNorm::carried},
    {"factored/bfloat16/al8/fresh", 4096, 4096, Type::bfloat16, true, Storage::al8, ParameterNorm::fresh},
    {"factored/float16/al8/fresh", 4096, 4096, Type::float16, true, Storage::al8, ParameterNorm::fresh},
    {"full/float32/fp32/fresh", 2048, 2048, Type::float32, false, Storage::fp32, ParameterNorm::fresh},
    {"full/float32/al8/fresh", 2048, 2048, Type::float32, false, Storage::al8, ParameterNorm::fresh},
    {"full/float32/linear_u8/fresh", 2048, 2048, Type::float32, false, Storage::linear_u8, ParameterNorm::fresh},
    {"factored/float32/al8/256x256", 256, 256, Type::float32, true, Storage::al8, ParameterNorm::fresh},
    momentum("gradient/uf4", {{"beta1", "0.9"}, {"momentum_storage", "uf4"}}),
    momentum("gradient/uf8", {{"beta1", "0.9"}, {"momentum_storage", "uf8"}}),
    momentum("gradient/bf16", {{"beta1", "0.9"}, {"momentum_storage", "bf16"}}),
    momentum("gradient/fp32", {{"beta1", "0.9"}, {"momentum_storage", "fp32"}}),
    momentum("gradient/uf4/nearest", {{"beta1", "0.5"}, {"momentum_storage", "uf4"}, {"momentum_rounding", "nearest"}}),
    momentum(
        "update/uf4/dither",
        {{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"momentum_of", "update"}, {"momentum_rounding", "dither"}}),
    momentum("update/uf4", {{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"momentum_of", "update"}}),
    momentum("update/uf4/limiter",
             {{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"momentum_of", "update"}, {"limiter_margin", "0.01"}}),
    momentum("came/uf4",
             {{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"momentum_of", "update"}, {"beta3", "0.999"}}),
    momentum("full/gradient/uf4", {{"beta1", "0.9"}, {"momentum_storage", "uf4"}, {"factored", "false"}}),
    momentum("full/al8/stochastic", {{"factored", "false"}, {"rounding", "stochastic"}}),
    momentum("full/al16/dither", {{"factored", "false"}, {"storage", "al16"}, {"rounding", "dither"}}),
    momentum("full/al16", {{"factored", "false"}, {"storage", "al16"}}),
};

[[maybe_unused]] const bool registered = [] {
  for (const Case& c : kCases) {
    benchmark::RegisterBenchmark((std::string("twin/") + c.name).c_str(), [&c](benchmark::State& s) {
      step(s, c);
    })->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace plumbline

BENCHMARK_MAIN();
