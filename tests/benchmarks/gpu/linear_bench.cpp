// The W8A8 layer on a GPU: random layers against the host twin, bit by bit, and the time of the forward and backward.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <random>

#include "cuda/kernels/check.h"
#include "tests/cuda/linear/sample.h"

namespace plumbline::linear {
namespace {

using gpu::check;

class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t bytes) { check(cudaMalloc(&memory_, bytes)); }
  ~DeviceBuffer() { static_cast<void>(cudaFree(memory_)); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  void* data() { return memory_; }
  void write(const std::vector<std::byte>& from) {
    if (!from.empty()) check(cudaMemcpy(memory_, from.data(), from.size(), cudaMemcpyHostToDevice));
  }
  void read(std::vector<std::byte>& to) const {
    if (!to.empty()) check(cudaMemcpy(to.data(), memory_, to.size(), cudaMemcpyDeviceToHost));
  }

 private:
  void* memory_ = nullptr;
};

// Random layers on the GPU, with each of its kernels, and on the host: how many differ.
int compare(uint64_t seed, int count, int64_t largest) {
  int different = 0;
  for (int i = 0; i < count; ++i) {
    const Sample sample = draw_sample(seed + uint64_t(i), largest);
    LayerConfig config;
    config.record_accumulators = true;
    const Outcome twin = run_sample<HostBuffer>(sample, config);
    config.backend = Backend::cuda;
    for (const bool portable : {false, true}) {
      config.portable_kernels = portable;
      const std::string part = twin.difference(run_sample<DeviceBuffer>(sample, config));
      if (part.empty()) continue;
      ++different;
      fmt::print("DIFFERENT in {} ({} kernels): {}\n", part, portable ? "portable" : "best", sample.text);
    }
  }
  fmt::print("twin = GPU: {} random layers from seed {}, each with both kernels: {} different\n", count, seed,
             different);
  return different;
}

// Median milliseconds of f(), one event pair each.
template <class F>
double milliseconds(int repetitions, const F& f) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  for (int i = 0; i < 3; ++i) f();
  std::vector<float> times(static_cast<size_t>(repetitions));
  for (float& t : times) {
    check(cudaEventRecord(begin));
    f();
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    check(cudaEventElapsedTime(&t, begin, end));
  }
  static_cast<void>(cudaEventDestroy(begin));
  static_cast<void>(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
  return times[times.size() / 2];
}

void measure(Mode mode, Type type, int64_t tokens, int64_t inputs, int64_t outputs, bool portable, bool backward,
             int repetitions) {
  SampleDraw d(7);
  LayerSpec spec{inputs, outputs, mode, type, true, tokens};
  LayerConfig config;
  config.backend = Backend::cuda;
  config.portable_kernels = portable;
  size_t before = 0, after = 0, total = 0;
  DeviceBuffer x(size_t(tokens * inputs) * bytes_of(type)), y(size_t(tokens * outputs) * bytes_of(type));
  DeviceBuffer codes(size_t(outputs * inputs)), scales(size_t(outputs) * 4), bias(size_t(outputs) * bytes_of(type));
  x.write(to_type(type, d.values(tokens, inputs, 1.0f)));
  std::vector<std::byte> bytes(size_t(outputs * inputs));
  for (auto& b : bytes)
    b = mode == Mode::fp8 ? std::byte(d.byte() % 0x7e) : std::byte(uint8_t(int8_t(d.between(-127, 127))));
  codes.write(bytes);
  scales.write(to_type(Type::float32, std::vector<float>(size_t(outputs), 1e-4f)));
  bias.write(to_type(type, d.values(1, outputs, 1.0f)));
  Layer layer(spec, config);
  if (mode == Mode::fp8)
    layer.set_weight(Fp8Weight{static_cast<const uint8_t*>(codes.data()),
                               ScaleKind::channel,
                               static_cast<const float*>(scales.data()),
                               {outputs}});
  else
    layer.set_weight_codes(static_cast<const int8_t*>(codes.data()), static_cast<const float*>(scales.data()));
  layer.set_bias(bias.data());
  layer.forward(x.data(), tokens, y.data());
  check(cudaDeviceSynchronize());
  check(cudaMemGetInfo(&before, &total));
  const double forward = milliseconds(repetitions, [&] { layer.forward(x.data(), tokens, y.data()); });
  check(cudaMemGetInfo(&after, &total));
  const double operations = 2.0 * double(tokens) * double(inputs) * double(outputs);
  const char* kind = mode == Mode::fp8 ? "fp8" : "int8";
  const char* kernel = tokens <= 16 ? "dot" : mode == Mode::fp8 ? "matmul" : layer.product_kernel();
  fmt::print(
      "forward {} {} {}x{}x{} {}: {:.4f} ms, {:.1f} TOPS, scratch {} bytes, taken during the calls {} bytes\n", kind,
      type == Type::float32    ? "f32"
      : type == Type::bfloat16 ? "bf16"
                               : "f16",
      tokens, inputs, outputs, kernel, forward, operations / forward * 1e-9, layer.scratch_bytes(), before - after);
  if (!backward) return;
  const double back = milliseconds(3, [&] { layer.backward_input(y.data(), tokens, x.data()); });
  fmt::print("backward {} {}x{}x{}: {:.3f} ms, {:.1f} TFLOPS\n", kind, tokens, inputs, outputs, back,
             operations / back * 1e-9);
}

int program(int argc, char** argv) {
  CLI::App app{"W8A8 layer on a GPU: the twin's bits, and times"};
  int count = 200, repetitions = 50;
  uint64_t seed = std::random_device{}();
  int64_t largest = 1 << 24;
  bool times = true;
  app.add_option("--check", count, "random layers to compare with the host twin")->capture_default_str();
  app.add_option("--largest", largest, "tokens x inputs x outputs of those")->capture_default_str();
  app.add_option("--seed", seed, "of the random layers (default: a fresh one)");
  app.add_option("--repetitions", repetitions, "of each timing")->capture_default_str();
  app.add_flag("--times,!--no-times", times, "measure");
  CLI11_PARSE(app, argc, argv);
  const int different = count > 0 ? compare(seed, count, largest) : 0;
  if (times) {
    for (const bool portable : {false, true})
      measure(Mode::int8, Type::bfloat16, 4096, 4096, 11008, portable, !portable, repetitions);
    measure(Mode::int8, Type::float32, 4096, 4096, 11008, false, false, repetitions);
    for (const int64_t tokens : {1, 16, 17, 128, 1024, 16384})
      measure(Mode::int8, Type::bfloat16, tokens, 4096, 11008, false, false, repetitions);
    measure(Mode::int8, Type::bfloat16, 4096, 11008, 4096, false, false, repetitions);
    measure(Mode::fp8, Type::bfloat16, 16, 4096, 11008, false, false, repetitions);
    measure(Mode::fp8, Type::bfloat16, 512, 4096, 11008, false, false, 5);
  }
  return different == 0 ? 0 : 1;
}

}  // namespace
}  // namespace plumbline::linear

int main(int argc, char** argv) {
  try {
    return plumbline::linear::program(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "linear_bench: {}\n", e.what());
    return 2;
  }
}
