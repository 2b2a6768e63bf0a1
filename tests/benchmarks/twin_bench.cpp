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
};

void step(benchmark::State& state, const Case& c) {
  GroupOptions options;
  options.factored = c.factored;
  options.storage = c.storage;
  options.parameter_norm = c.norm;
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

constexpr Case kCases[] = {
    {"factored/float32/fp32/fresh", 4096, 4096, Type::float32, true, Storage::fp32, ParameterNorm::fresh},
    {"factored/float32/al8/fresh", 4096, 4096, Type::float32, true, Storage::al8, ParameterNorm::fresh},
    {"factored/float32/al8/carried", 4096, 4096, Type::float32, true, Storage::al8, ParameterNorm::carried},
    {"factored/bfloat16/al8/fresh", 4096, 4096, Type::bfloat16, true, Storage::al8, ParameterNorm::fresh},
    {"factored/float16/al8/fresh", 4096, 4096, Type::float16, true, Storage::al8, ParameterNorm::fresh},
    {"full/float32/fp32/fresh", 2048, 2048, Type::float32, false, Storage::fp32, ParameterNorm::fresh},
    {"full/float32/al8/fresh", 2048, 2048, Type::float32, false, Storage::al8, ParameterNorm::fresh},
    {"full/float32/linear_u8/fresh", 2048, 2048, Type::float32, false, Storage::linear_u8, ParameterNorm::fresh},
    {"factored/float32/al8/256x256", 256, 256, Type::float32, true, Storage::al8, ParameterNorm::fresh},
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
