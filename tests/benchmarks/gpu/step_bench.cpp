// Times steps of the CUDA optimizer beside large copies of the same run. Prints a table; --out FILE writes JSON too.
//
// A step is replayed in a CUDA graph over rotating tensors of at least four times the L2 cache. The rate counts the
// bytes that a step cannot avoid to move (`model`: gradient, parameter in and out, codes of state); `of copy` is that
// rate over the best rate, read plus written, of a 1 GiB device copy. Launches are timed one by one, too.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "cuda/kernels/check.h"
#include "tests/benchmarks/gpu/phases.h"

namespace plumbline::bench {
namespace {

using gpu::check;
using nlohmann::json;

struct DeviceBuffer {
  void* data = nullptr;
  size_t bytes;
  explicit DeviceBuffer(size_t n) : bytes((n + 15) / 16 * 16) { check(cudaMalloc(&data, bytes)); }
  ~DeviceBuffer() { cudaFree(data); }
  DeviceBuffer(DeviceBuffer&& other) noexcept : data(std::exchange(other.data, nullptr)), bytes(other.bytes) {}
  DeviceBuffer(const DeviceBuffer&) = delete;
};

struct Timing {
  double median = 0, low = 0, high = 0;  // microseconds of one item; quartiles
};

// One item of a graph of `items` calls, over `replays` replays after a warm-up.
Timing time_graph(int items, int replays, const std::function<void(int, cudaStream_t)>& call) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  cudaEvent_t start, stop;
  check(cudaStreamCreate(&stream));
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&stop));
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < items; ++i) call(i, stream);
  check(cudaStreamEndCapture(stream, &graph));
  check(cudaGraphInstantiate(&executable, graph, 0));
  constexpr int kWarmUp = 3;
  for (int i = 0; i < kWarmUp; ++i) check(cudaGraphLaunch(executable, stream));
  std::vector<double> times;
  for (int i = 0; i < replays; ++i) {
    check(cudaEventRecord(start, stream));
    check(cudaGraphLaunch(executable, stream));
    check(cudaEventRecord(stop, stream));
    check(cudaStreamSynchronize(stream));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start, stop));
    times.push_back(double(milliseconds) * 1e3 / items);
  }
  check(cudaGraphExecDestroy(executable));
  check(cudaGraphDestroy(graph));
  check(cudaEventDestroy(start));
  check(cudaEventDestroy(stop));
  check(cudaStreamDestroy(stream));
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  return {times[n / 2], times[n / 4], times[3 * n / 4]};
}

// Microseconds of one of `items` calls in a stream, median of `replays`.
double time_stream(int items, int replays, const std::function<void(int, cudaStream_t)>& call) {
  cudaStream_t stream;
  cudaEvent_t begin, end;
  check(cudaStreamCreate(&stream));
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int r = 0; r < replays + 3; ++r) {
    check(cudaEventRecord(begin, stream));
    for (int i = 0; i < items; ++i) call(i, stream);
    check(cudaEventRecord(end, stream));
    check(cudaStreamSynchronize(stream));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end));
    if (r >= 3) times.push_back(milliseconds);  // warmed up
  }
  check(cudaEventDestroy(begin));
  check(cudaEventDestroy(end));
  check(cudaStreamDestroy(stream));
  std::sort(times.begin(), times.end());
  return double(times[times.size() / 2]) * 1e3 / items;
}

struct Machine {
  cudaDeviceProp device;
  // GB/s; a copy counts bytes read and written. `copy` is the best of three ways: a memcpy node of a graph goes through
  // a copy engine on some machines, which is slower than the memory.
  double copy = 0, copy_node = 0, copy_stream = 0, copy_kernel = 0, read = 0;
};

Machine measure_machine(int replays) {
  Machine machine;
  check(cudaGetDeviceProperties(&machine.device, 0));
  const size_t bytes = size_t(1) << 30;
  const DeviceBuffer from(bytes), to(bytes), sink(16);
  fill_random(from.data, bytes, Type::float32, 1);
  const auto rate = [&](double moved, auto call) { return moved / time_graph(4, replays, call).median * 1e-3; };
  const auto memcpy_once = [&](int, cudaStream_t stream) {
    check(cudaMemcpyAsync(to.data, from.data, bytes, cudaMemcpyDeviceToDevice, stream));
  };
  machine.copy_node = rate(2.0 * double(bytes), memcpy_once);
  machine.copy_stream = 2.0 * double(bytes) / time_stream(4, replays, memcpy_once) * 1e-3;
  machine.copy_kernel = rate(2.0 * double(bytes), [&](int, cudaStream_t stream) {
    copy_all(to.data, from.data, bytes, machine.device.multiProcessorCount, stream);
  });
  machine.copy = std::max({machine.copy_node, machine.copy_stream, machine.copy_kernel});
  machine.read = rate(double(bytes), [&](int, cudaStream_t stream) {
    read_all(from.data, bytes, machine.device.multiProcessorCount, static_cast<uint32_t*>(sink.data), stream);
  });
  return machine;
}

using Shape = std::vector<int64_t>;

// One step to time: tensors of one type and one set of options.
struct Job {
  std::string name;  // of the tensors
  std::vector<Shape> shapes;
  Type parameter, gradient;
  std::string variant;
};

size_t element_bytes(Type type) { return type == Type::float32 ? 4 : 2; }
std::string type_name(Type type) { return type == Type::float32 ? "f32" : type == Type::bfloat16 ? "bf16" : "f16"; }
int64_t size_of(const Shape& shape) {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  return size;
}

struct Variant {
  const char* name;
  int gradient_reads;
  double state_bytes;  // moved per element
  bool reads_parameter;
  void (*change)(GroupOptions&);
};
const Variant kVariants[] = {
    {"carried", 2, 0.0, false, [](GroupOptions&) {}},
    {"fresh", 2, 0.0, true, [](GroupOptions& o) { o.parameter_norm = ParameterNorm::fresh; }},
    {"momentum", 2, 1.6, false, [](GroupOptions& o) { o.beta1 = 0.9; }},
    {"momentum_u", 2, 1.1, false, [](GroupOptions& o) { o.beta1 = 0.9, o.momentum_of = MomentumOf::update; }},
    {"came", 3, 1.6, false,
     [](GroupOptions& o) { o.beta1 = 0.9, o.momentum_of = MomentumOf::update, o.beta3 = 0.999; }},
    {"full", 2, 3.0, false, [](GroupOptions& o) { o.factored = false; }},
    {"apollo1", 2, 0.0, false, [](GroupOptions& o) { o.projection_rank = 1; }},
    {"apollo16", 2, 0.0, false, [](GroupOptions& o) { o.projection_rank = 16; }},
    {"apollo256", 2, 0.0, false, [](GroupOptions& o) { o.projection_rank = 256, o.beta1 = 0.9; }},
};
const Variant& variant_of(const std::string& name) {
  for (const Variant& variant : kVariants)
    if (name == variant.name) return variant;
  throw std::runtime_error("unknown variant " + name);
}

json measure(const Job& job, const Machine& machine, Storage storage, int replays) {
  const Variant& variant = variant_of(job.variant);
  int64_t size = 0;
  for (const Shape& shape : job.shapes) size += size_of(shape);
  const size_t parameter_bytes = size_t(size) * element_bytes(job.parameter),
               gradient_bytes = size_t(size) * element_bytes(job.gradient);
  const double least = double(gradient_bytes) * variant.gradient_reads +
                       double(parameter_bytes) * (variant.reads_parameter ? 3 : 2) + variant.state_bytes * double(size);
  const size_t rotation = size_t(4) * size_t(machine.device.l2CacheSize);
  const size_t sets =
      std::max<size_t>(parameter_bytes > size_t(1) << 30 ? 1 : 2, rotation / (parameter_bytes + gradient_bytes) + 1);
  std::vector<DeviceBuffer> buffers;
  std::vector<std::vector<TensorPointers>> pointers(sets);
  for (auto& set : pointers) {
    for (const Shape& shape : job.shapes) {
      const auto elements = size_t(size_of(shape));
      buffers.emplace_back(elements * element_bytes(job.parameter));
      fill_random(buffers.back().data, buffers.back().bytes, job.parameter, uint32_t(buffers.size()));
      set.push_back({buffers.back().data, nullptr});
      buffers.emplace_back(elements * element_bytes(job.gradient));
      fill_random(buffers.back().data, buffers.back().bytes, job.gradient, uint32_t(buffers.size()));
      set.back().gradient = buffers.back().data;
    }
  }
  GroupOptions options;
  options.lr = 1e-4;  // small: thousands of steps on one gradient must not carry parameters out of range
  options.storage = storage;
  options.parameter_norm = ParameterNorm::carried;
  variant.change(options);
  std::vector<TensorSpec> specs;
  for (const Shape& shape : job.shapes) specs.push_back({"w", shape, job.parameter, job.gradient, 0});
  OptimizerConfig config;
  config.backend = Backend::cuda;
  Optimizer optimizer(specs, {options}, config);
  const int items = job.shapes.size() > 1 ? 2 : std::max(int(sets), 8);
  optimizer.step(pointers[0]);  // a carried norm exists from here on
  check(cudaDeviceSynchronize());
  const Timing whole = time_graph(
      items, replays, [&](int i, cudaStream_t stream) { optimizer.step(pointers[size_t(i) % sets], stream); });
  json row = {{"shape", job.name},
              {"parameter", type_name(job.parameter)},
              {"gradient", type_name(job.gradient)},
              {"variant", job.variant},
              {"step_us", whole.median},
              {"step_us_quartiles", {whole.low, whole.high}},
              {"bytes_per_element", least / double(size)},
              {"rate_gb_s", least / whole.median * 1e-3},
              {"of_copy", least / whole.median * 1e-3 / machine.copy},
              {"state_bytes", optimizer.state_bytes()},
              {"scratch_bytes", optimizer.scratch_bytes()}};
  std::string launches;
  if (job.shapes.size() == 1) {
    Phases phases(specs[0], options);
    const std::vector<std::string> names = phases.names();
    for (size_t i = 0; i < names.size(); ++i) phases.run(i, pointers[0][0], nullptr);
    check(cudaDeviceSynchronize());
    for (size_t k = 0; k < names.size(); ++k) {
      const double us = time_graph(items, replays, [&](int i, cudaStream_t stream) {
                          phases.run(k, pointers[size_t(i) % sets][0], stream);
                        }).median;
      row["launches"].push_back({{"kernel", names[k]}, {"us", us}});
      launches += fmt::format("{} {:.1f}  ", names[k], us);
    }
  }
  fmt::print("{:>12} {:>4} {:>4} {:>10} {:>10.1f} {:>7.0f} {:>6.3f}  {}\n", job.name, type_name(job.parameter),
             type_name(job.gradient), job.variant, whole.median, row["rate_gb_s"].get<double>(),
             row["of_copy"].get<double>(), launches);
  std::fflush(stdout);
  return row;
}

// Shapes of Llama-2-7B, 291 tensors.
std::vector<Shape> llama() {
  std::vector<Shape> shapes = {{32000, 4096}, {32000, 4096}, {4096}};
  for (int layer = 0; layer < 32; ++layer) {
    shapes.insert(shapes.end(), 4, {4096, 4096});
    shapes.insert(shapes.end(), 2, {11008, 4096});
    shapes.insert(shapes.end(), {{4096, 11008}, {4096}, {4096}});
  }
  return shapes;
}

std::vector<Job> jobs(bool quick) {
  std::vector<Shape> shapes = {{4096, 4096}, {4096, 11008}, {11008, 4096}, {32000, 4096}};
  if (!quick)
    shapes.insert(shapes.end(), {{512, 512},
                                 {1024, 1024},
                                 {2048, 2048},
                                 {8192, 8192},
                                 {4097, 4095},
                                 {512, 32768},
                                 {1 << 24},
                                 {256, 256, 3, 3}});
  const std::pair<Type, Type> types[] = {
      {Type::float32, Type::float32}, {Type::bfloat16, Type::bfloat16}, {Type::float32, Type::bfloat16}};
  std::vector<Job> all;
  for (const auto& [parameter, gradient] : types) {
    if (quick && parameter != gradient) continue;
    for (const Shape& shape : shapes) {
      std::string name;
      for (const int64_t extent : shape) name += (name.empty() ? "" : "x") + std::to_string(extent);
      for (const Variant& variant : kVariants) {
        const bool main_shape = shape == shapes[0] || (!quick && shape == shapes[1]);
        if (std::string(variant.name) == "carried" || main_shape)
          all.push_back({name, {shape}, parameter, gradient, variant.name});
      }
    }
  }
  all.push_back({"llama-2-7b", llama(), Type::bfloat16, Type::bfloat16, "carried"});
  all.push_back({"1000 x 4096", std::vector<Shape>(1000, {4096}), Type::float32, Type::float32, "carried"});
  return all;
}

int run(int argc, char** argv) {
  CLI::App app("Step times of the CUDA optimizer beside the device's copy rate");
  std::string out, storage = "al8";
  int replays = 31;
  bool quick = false;
  app.add_option("--out", out, "file for the figures as JSON");
  app.add_option("--replays", replays, "graph replays per figure")->check(CLI::Range(5, 1000));
  std::string only, shape;
  app.add_option("--variant", only, "this one alone");
  app.add_option("--shape", shape, "this one alone");
  app.add_option("--storage", storage, "fp32, al8, log_u8 or linear_u8");
  app.add_flag("--quick", quick, "four shapes and many tensors, equal types");
  CLI11_PARSE(app, argc, argv);
  GroupOptions options;
  set_option(options, "storage", storage);
  if (const std::string why = backend_unavailable(Backend::cuda); !why.empty()) throw CudaError(why);

  const Machine machine = measure_machine(replays);
  fmt::print(
      "{}, {} multiprocessors, L2 {:.0f} MB; GB/s read + written: copy {:.0f} (memcpy node {:.0f}, memcpy {:.0f}, "
      "kernel {:.0f}), read only {:.0f}\n",
      machine.device.name, machine.device.multiProcessorCount, double(machine.device.l2CacheSize) / 1048576,
      machine.copy, machine.copy_node, machine.copy_stream, machine.copy_kernel, machine.read);
  fmt::print("{:>12} {:>4} {:>4} {:>10} {:>10} {:>7} {:>6}  {}\n", "shape", "p", "g", "variant", "step us", "GB/s",
             "copy", "launches, us");
  json report = {{"device", machine.device.name},
                 {"copy_gb_s", machine.copy},
                 {"copy_node_gb_s", machine.copy_node},
                 {"copy_stream_gb_s", machine.copy_stream},
                 {"copy_kernel_gb_s", machine.copy_kernel},
                 {"read_gb_s", machine.read},
                 {"l2_bytes", machine.device.l2CacheSize},
                 {"replays", replays},
                 {"storage", storage}};
  for (const Job& job : jobs(quick)) {
    if ((only.empty() || only == job.variant) && (shape.empty() || shape == job.name))
      report["steps"].push_back(measure(job, machine, options.storage, replays));
  }
  if (!out.empty()) {
    std::ofstream file(out);
    file << report.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error(out + ": cannot be written");
  }
  return 0;
}

}  // namespace
}  // namespace plumbline::bench

int main(int argc, char** argv) {
  try {
    return plumbline::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "step_bench: {}\n", error.what());
    return 2;
  }
}
