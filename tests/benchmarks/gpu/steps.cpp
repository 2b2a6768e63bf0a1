#include "tests/benchmarks/gpu/steps.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "tests/benchmarks/gpu/phases.h"

namespace plumbline::bench {
namespace {

size_t element_bytes(Type type) { return type == Type::float32 ? 4 : 2; }
int64_t size_of(const Shape& shape) {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  return size;
}

std::vector<Shape> llama_2_7b() {
  std::vector<Shape> shapes = {{32000, 4096}, {32000, 4096}, {4096}};
  for (int layer = 0; layer < 32; ++layer) {
    shapes.insert(shapes.end(), 4, {4096, 4096});
    shapes.insert(shapes.end(), 2, {11008, 4096});
    shapes.insert(shapes.end(), {{4096, 11008}, {4096}, {4096}});
  }
  return shapes;
}

// A line is a count and a shape.
std::vector<Shape> read_model(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw OptionError("model " + path + ": cannot be read");
  std::vector<Shape> shapes;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string count, shape, rest;
    const bool two = bool(words >> count >> shape) && !(words >> rest);
    if (!two || shape.find_first_not_of("0123456789x") != std::string::npos)
      throw OptionError("model " + path + ": '" + line + "', expected a count and a shape such as 64x3x7x7");
    const std::vector<Shape> one = parse_shapes(shape);
    int64_t times = 0;
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), times);
    if (error != std::errc() || end != count.data() + count.size() || times < 1 || times > 100000)
      throw OptionError("model " + path + ": count '" + count + "', expected 1 to 100000");
    shapes.insert(shapes.end(), size_t(times), one.front());
  }
  if (shapes.empty()) throw OptionError("model " + path + ": no tensors");
  return shapes;
}

}  // namespace

std::string label_of(const std::string& name) {
  return name.starts_with('@') ? std::filesystem::path(name.substr(1)).stem().string() : name;
}

std::vector<Shape> parse_shapes(const std::string& name) {
  if (name == "llama-2-7b") return llama_2_7b();
  if (name.starts_with('@')) return read_model(name.substr(1));
  const auto fail = [&] {
    return OptionError("shape " + name + ": expected 4096x4096, 1000*4096, llama-2-7b or @FILE");
  };
  int64_t count = 1;
  Shape shape;
  const char *at = name.data(), *const end = at + name.size();
  while (at != end) {
    int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc() || extent < 1 || extent > int64_t(1) << 31) throw fail();
    at = next;
    if (at != end && *at == '*' && shape.empty() && count == 1 && extent <= 100000)
      count = extent;
    else
      shape.push_back(extent);
    if (at == end) break;
    if ((*at != 'x' && *at != '*') || (*at == '*' && !shape.empty())) throw fail();
    if (++at == end) throw fail();
  }
  if (shape.empty()) throw fail();
  return std::vector<Shape>(size_t(count), shape);
}

Type parse_type(const std::string& name) {
  for (const Type type : {Type::float32, Type::bfloat16, Type::float16})
    if (type_name(type) == name) return type;
  throw OptionError("type " + name + ": expected f32, bf16 or f16");
}
std::string type_name(Type type) { return type == Type::float32 ? "f32" : type == Type::bfloat16 ? "bf16" : "f16"; }

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"carried", 2, 0.0, false, [](GroupOptions&) {}},
      {"fresh", 2, 0.0, true, [](GroupOptions& o) { o.parameter_norm = ParameterNorm::fresh; }},
      {"momentum", 2, 1.6, false, [](GroupOptions& o) { o.beta1 = 0.9, o.momentum_storage = Storage::uf4; }},
      {"momentum_u", 2, 1.1, false,
       [](GroupOptions& o) { o.beta1 = 0.9, o.momentum_storage = Storage::uf4, o.momentum_of = MomentumOf::update; }},
      {"came", 3, 1.6, false,
       [](GroupOptions& o) {
         o.beta1 = 0.9, o.momentum_storage = Storage::uf4, o.momentum_of = MomentumOf::update, o.beta3 = 0.999;
       }},
      {"full", 2, 3.0, false, [](GroupOptions& o) { o.factored = false; }},
      {"apollo1", 2, 0.0, false, [](GroupOptions& o) { o.projection_rank = 1; }},
      {"apollo16", 2, 0.0, false, [](GroupOptions& o) { o.projection_rank = 16; }},
      {"apollo256", 2, 0.0, false,
       [](GroupOptions& o) { o.projection_rank = 256, o.beta1 = 0.9, o.momentum_storage = Storage::uf4; }},
  };
  return all;
}
const Variant& variant_of(const std::string& name) {
  std::string names;
  for (const Variant& variant : variants()) {
    if (name == variant.name) return variant;
    names += (names.empty() ? "" : "|") + std::string(variant.name);
  }
  throw OptionError("variant " + name + ": expected " + names);
}

// Microseconds from here to the end of the device's work.
double wait_for_device(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (;;) {
    const cudaError_t state = cudaStreamQuery(nullptr);
    if (state == cudaSuccess) return passed() * 1e6;
    if (state != cudaErrorNotReady) check(state);
    if (passed() > seconds) throw SlowStep(fmt::format("a step is not over after {:g} s", seconds));
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

Steps::Steps(const Job& job, Storage storage, size_t l2_bytes, double seconds) {
  const Variant& variant = variant_of(job.variant);
  for (const Shape& shape : job.shapes) elements_ += size_of(shape);
  const size_t parameter_bytes = size_t(elements_) * element_bytes(job.parameter),
               gradient_bytes = size_t(elements_) * element_bytes(job.gradient);
  model_bytes_ = double(gradient_bytes) * variant.gradient_reads +
                 double(parameter_bytes) * (variant.reads_parameter ? 3 : 2) + variant.state_bytes * double(elements_);
  const size_t sets = std::max<size_t>(parameter_bytes > size_t(1) << 30 ? 1 : 2,
                                       4 * l2_bytes / (parameter_bytes + gradient_bytes) + 1);
  items_ = job.shapes.size() > 1 ? int(std::max<size_t>(2, sets)) : int(std::max<size_t>(8, sets));
  options_.lr = 1e-4;  // small: thousands of steps on one gradient must not carry parameters out of range
  options_.storage = storage;
  options_.parameter_norm = ParameterNorm::carried;
  variant.change(options_);
  for (const Shape& shape : job.shapes) specs_.push_back({"w", shape, job.parameter, job.gradient, 0});
  OptimizerConfig config;
  config.backend = Backend::cuda;
  pointers_.resize(sets);
  for (auto& set : pointers_) {
    for (const Shape& shape : job.shapes) {
      const auto elements = size_t(size_of(shape));
      buffers_.emplace_back(elements * element_bytes(job.parameter));
      fill_random(buffers_.back().data, buffers_.back().bytes, job.parameter, uint32_t(buffers_.size()));
      set.push_back({buffers_.back().data, nullptr});
      buffers_.emplace_back(elements * element_bytes(job.gradient));
      fill_random(buffers_.back().data, buffers_.back().bytes, job.gradient, uint32_t(buffers_.size()));
      set.back().gradient = buffers_.back().data;
    }
    optimizers_.emplace_back(specs_, std::vector<GroupOptions>{options_}, config);
    check(cudaDeviceSynchronize());
    optimizers_.back().step(set);  // a carried norm exists from here on
    step_us_ = wait_for_device(seconds);
  }
  floor_bytes_ = double(gradient_bytes) * variant.gradient_reads +
                 double(parameter_bytes) * (variant.reads_parameter ? 3 : 2) + 2 * double(optimizers_[0].state_bytes());
  graph_ = std::make_unique<Replay>(items_, [this](int i, cudaStream_t stream) { step(i, stream); });
}

int Steps::affordable(int replays, double seconds) const {
  const double at_most = seconds * 1e6 / (step_us_ * items_);
  return std::clamp(int(std::min(at_most, 1e6)), std::min(replays, 3), replays);
}

void Steps::step(int i, cudaStream_t stream) {
  const size_t set = size_t(i) % pointers_.size();
  optimizers_[set].step(pointers_[set], stream);
}

std::vector<double> Steps::device_times(int replays) { return graph_->times(replays); }

std::vector<double> Steps::event_times(int steps) {
  constexpr int kWarmUp = 2;
  const TimedStream timed;
  std::vector<double> times;
  for (int i = 0; i < steps + kWarmUp; ++i) {
    const double us = timed.time([&](cudaStream_t stream) { step(i, stream); });
    if (i >= kWarmUp) times.push_back(us);
  }
  return times;
}

std::vector<double> Steps::host_times(int replays) {
  constexpr int kWarmUp = 2;
  const TimedStream timed;
  std::vector<double> times;
  for (int r = 0; r < replays + kWarmUp; ++r) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < items_; ++i) step(i, timed.stream());
    check(cudaStreamSynchronize(timed.stream()));
    const std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - start;
    if (r >= kWarmUp) times.push_back(passed.count() / items_);
  }
  return times;
}

void Steps::run_marked(int steps) {
  for (int i = 0; i < steps; ++i) {
    mark_step(nullptr);
    step(i, nullptr);
  }
  check(cudaDeviceSynchronize());
}

}  // namespace plumbline::bench
