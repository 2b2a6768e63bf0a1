// On a GPU: the bits of the host twin, however a step is started and whatever else runs. Skipped where there is none.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

#include "cuda/api/checkpoint.h"
#include "cuda/kernels/check.h"
#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

using gpu::check;
using testing::HasSubstr;

// Device memory with a copy of host bytes.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) : bytes_(bytes) { check(cudaMalloc(&data_, bytes)); }
  ~DeviceBytes() { cudaFree(data_); }
  DeviceBytes(DeviceBytes&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void* data() const { return data_; }
  size_t size() const { return bytes_; }
  void upload(std::span<const std::byte> from, cudaStream_t stream = nullptr) {
    check(cudaMemcpyAsync(data_, from.data(), from.size(), cudaMemcpyHostToDevice, stream));
    check(cudaStreamSynchronize(stream));
  }
  void download(std::span<std::byte> to) const {
    check(cudaMemcpy(to.data(), data_, to.size(), cudaMemcpyDeviceToHost));
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

class OwnStream {
 public:
  OwnStream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~OwnStream() { cudaStreamDestroy(stream_); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A captured step, to be replayed.
class Graph {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& work) {
    // the strictest mode: a call that waits, allocates or touches another stream ends the capture with an error
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    work();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&executable_, graph, 0));
    check(cudaGraphDestroy(graph));
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void replay(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream)); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

// The training of training.h with its tensors in device memory.
struct DeviceTraining {
  Training host;  // parameters as they started, gradients of the step
  Optimizer optimizer;
  std::vector<DeviceBytes> parameters, gradients;
  std::vector<TensorPointers> pointers;

  DeviceTraining(const std::vector<TensorSpec>& specs, const std::vector<GroupOptions>& groups)
      : host(specs, groups), optimizer(specs, groups, {.backend = Backend::cuda}) {
    for (size_t i = 0; i < specs.size(); ++i) {
      parameters.emplace_back(host.parameters[i].span().size()).upload(host.parameters[i].span());
      gradients.emplace_back(host.gradients[i].span().size());
      pointers.push_back({parameters[i].data(), gradients[i].data()});
    }
  }
  void load_gradients(int t, cudaStream_t stream = nullptr) {
    for (size_t i = 0; i < gradients.size(); ++i) {
      host.gradients[i].fill(1e-2, 1000 * uint64_t(t) + i);
      gradients[i].upload(host.gradients[i].span(), stream);
    }
  }
  void step(int t, cudaStream_t stream = nullptr) {
    load_gradients(t, stream);
    optimizer.step(pointers, stream);
  }
  std::vector<Values> download() const {
    check(cudaDeviceSynchronize());
    std::vector<Values> values = host.parameters;
    for (size_t i = 0; i < values.size(); ++i) parameters[i].download(values[i].span());
    return values;
  }
};

// Names of the tensors whose bits differ.
std::string differences(const Optimizer& a, const std::vector<Values>& p, const Optimizer& b,
                        const std::vector<Values>& q) {
  std::string names;
  for (int i = 0; i < int(p.size()); ++i) {
    const auto x = a.export_raw(i), y = b.export_raw(i);
    bool same = p[size_t(i)] == q[size_t(i)] && x.size() == y.size() && a.steps_taken(i) == b.steps_taken(i);
    for (size_t k = 0; same && k < x.size(); ++k) same = same_slot(x[k], y[k]);
    if (!same) names += a.tensors()[size_t(i)].name + " ";
  }
  return names;
}
std::string differences(const DeviceTraining& a, const DeviceTraining& b) {
  const std::vector<Values> p = a.download(), q = b.download();
  return differences(a.optimizer, p, b.optimizer, q);
}
std::string differences(const DeviceTraining& a, const Training& b) {
  const std::vector<Values> p = a.download();
  return differences(a.optimizer, p, b.optimizer, b.parameters);
}

// Every path, numerator, storage and rounding; `alone`: whose random numbers do not depend on the tensor's place.
std::vector<GroupOptions> groups(bool alone) {
  std::vector<OptionList> all = {
      {{"parameter_norm", "carried"}},
      {{"relative_step", "true"}, {"weight_decay", "0.1"}, {"storage", "log_u8"}},
      {{"beta1", "0.5"}, {"limiter_margin", "0.01"}, {"scale_parameter", "false"}},
      {{"beta1", "0.5"}, {"momentum_of", "update"}, {"beta3", "0.99"}, {"storage", "al16"}, {"limiter_margin", "0"}},
      {{"beta1", "0.9"}, {"momentum_of", "update"}, {"limiter_margin", "0.01"}, {"momentum_storage", "uf8"}},
      {{"factored", "false"}, {"beta1", "0.9"}, {"beta2", "0.99"}, {"momentum_storage", "bf16"}},
      {{"nonfinite", "skip"}, {"beta1", "0.9"}, {"storage", "linear_u8"}, {"momentum_storage", "fp32"}}};
  for (OptionList& options : all) options.push_back({"momentum_rounding", "nearest"});
  const std::vector<OptionList> random = {
      {{"storage", "al16"},
       {"rounding", "dither"},
       {"beta1", "0.9"},
       {"momentum_of", "update"},
       {"momentum_rounding", "dither"},
       {"parameter_rounding", "stochastic"}},
      {{"beta1", "0.9"}},
      {{"rounding", "stochastic"}, {"beta1", "0.9"}, {"momentum_of", "update"}, {"momentum_rounding", "stochastic"}},
      {{"projection_rank", "3"}, {"projection_refresh", "2"}, {"beta1", "0.9"}, {"limiter_margin", "0.01"}},
      {{"projection_rank", "20"}, {"projection_factored", "true"}, {"projection_scale_by", "tensor"}}};
  if (!alone) all.insert(all.end(), random.begin(), random.end());
  std::vector<GroupOptions> groups;
  for (const OptionList& options : all) groups.push_back(options_of(options));
  return groups;
}
// From one element to a batch and rows wider than a block, in every pair of types.
std::vector<TensorSpec> specs(bool alone) {
  const std::vector<std::vector<int64_t>> shapes = {{1}, {1, 1}, {1000}, {65, 130}, {3, 40, 70}, {129, 2100}};
  std::vector<TensorSpec> specs;
  for (int group = 0; group < int(groups(alone).size()); ++group) {
    for (const auto& shape : shapes) {
      const int k = int(specs.size());
      const std::string name = "group " + std::to_string(group) + " tensor " + std::to_string(shape.size()) + "-" +
                               std::to_string(shape.back());
      specs.push_back({name, shape, Type(k % 3), Type((k / 3) % 3), group});
    }
  }
  return specs;
}

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = backend_unavailable(Backend::cuda);
    if (!why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(Gpu, ManyTensorsHaveTheBitsOfTheHostTwin) {
  DeviceTraining device(specs(false), groups(false));
  Training host(specs(false), groups(false));
  for (int t = 1; t <= 4; ++t) {
    device.step(t);
    host.step(t);
    ASSERT_EQ(differences(device, host), "") << "step " << t;
  }
}

// Projections onto more ranks than 128 have kernels of their own: tensors that end within a tile, in every type,
// together and alone; channels that are rows of 256 values and others; a tile of ranks that is not the only one; an
// infinity.
TEST_F(Gpu, ProjectionsOntoManyRanksHaveTheBitsOfTheHostTwin) {
  const std::vector<OptionList> options = {
      {{"projection_rank", "256"}, {"beta1", "0.9"}, {"parameter_norm", "carried"}},
      {{"projection_rank", "256"}, {"nonfinite", "propagate"}, {"storage", "al16"}, {"projection_scale_by", "tensor"}},
      {{"projection_rank", "135"}, {"beta1", "0.9"}, {"momentum_storage", "uf8"}, {"nonfinite", "skip"}},
      {{"projection_rank", "300"}, {"projection_factored", "true"}, {"beta1", "0.9"}}};
  std::vector<GroupOptions> groups;
  for (const OptionList& group : options) groups.push_back(options_of(group));
  std::vector<TensorSpec> specs;
  for (int group = 0; group < int(groups.size()); ++group) {
    for (const auto& shape :
         std::vector<std::vector<int64_t>>{{333, 301}, {301, 333}, {1100, 1032}, {310, 700}, {600, 304}}) {
      const int k = int(specs.size());
      specs.push_back({"tensor " + std::to_string(k), shape, Type(k % 3), Type(k / 2 % 3), group});
    }
  }
  const auto compare = [&](const std::vector<TensorSpec>& some) {
    DeviceTraining device(some, groups);
    Training host(some, groups);
    for (int t = 1; t <= 3; ++t) {
      for (size_t i = 0; i < some.size(); ++i) {
        Values& values = host.gradients[i];
        values.fill(1e-2, 1000 * uint64_t(t) + i);
        if (t == 2) values.set(1234, std::numeric_limits<float>::infinity());
        device.gradients[i].upload(values.span());
      }
      device.optimizer.step(device.pointers);
      host.optimizer.step(host.pointers);
      ASSERT_EQ(differences(device, host), "") << "step " << t;
    }
  };
  compare(specs);
  for (const size_t i : {size_t(0), size_t(8), size_t(13)}) compare({specs[i]});
}

TEST_F(Gpu, EachTensorAloneHasTheBitsOfTheTensorAmongMany) {
  DeviceTraining together(specs(true), groups(true));
  for (int t = 1; t <= 2; ++t) together.step(t);
  const std::vector<Values> all = together.download();
  for (size_t i = 0; i < all.size(); ++i) {
    TensorSpec spec = together.host.specs[i];
    Optimizer optimizer({spec}, groups(true), {.backend = Backend::cuda});
    DeviceBytes parameter(together.parameters[i].size()), gradient(together.gradients[i].size());
    parameter.upload(together.host.parameters[i].span());
    const TensorPointers pointers[] = {{parameter.data(), gradient.data()}};
    for (int t = 1; t <= 2; ++t) {
      Values values = together.host.gradients[i];
      values.fill(1e-2, 1000 * uint64_t(t) + i);
      gradient.upload(values.span());
      optimizer.step(pointers);
    }
    Values result = all[i];
    parameter.download(result.span());
    EXPECT_TRUE(result == all[i]) << spec.name;
    const auto x = optimizer.export_raw(0), y = together.optimizer.export_raw(int(i));
    ASSERT_EQ(x.size(), y.size());
    for (size_t k = 0; k < x.size(); ++k) EXPECT_TRUE(same_slot(x[k], y[k])) << spec.name << " " << x[k].name;
  }
}

// Steps of three trainings interleave on streams of their own, and none waits for another.
TEST_F(Gpu, StreamsAndRepeatedRunsCannotChangeABit) {
  OwnStream first, second;
  DeviceTraining a(specs(false), groups(false)), b(specs(false), groups(false)), c(specs(false), groups(false));
  for (DeviceTraining* run : {&a, &b, &c}) run->load_gradients(1);
  check(cudaDeviceSynchronize());
  for (int t = 1; t <= 10; ++t) {
    a.optimizer.step(a.pointers, first);
    b.optimizer.step(b.pointers, second);
    c.optimizer.step(c.pointers);
  }
  EXPECT_EQ(differences(a, b), "");
  EXPECT_EQ(differences(a, c), "");
  EXPECT_EQ(a.optimizer.steps_taken(0), 10);
}

TEST_F(Gpu, AReplayedGraphHasTheBitsOfEagerSteps) {
  OwnStream stream;
  DeviceTraining eager(specs(false), groups(false)), replayed(specs(false), groups(false));
  const Graph graph(stream, [&] { replayed.optimizer.step(replayed.pointers, stream); });
  EXPECT_EQ(replayed.optimizer.steps_taken(0, stream), 0);  // capturing does nothing yet
  for (int t = 1; t <= 6; ++t) {
    if (t == 4) {  // what changes between steps is read by the graph
      for (DeviceTraining* run : {&eager, &replayed}) {
        run->optimizer.set_lr(0.003, stream, 2);
        run->optimizer.set_gradient_multiplier(0.25f, stream);
      }
    }
    eager.step(t, stream);
    replayed.load_gradients(t, stream);
    graph.replay(stream);
    ASSERT_EQ(differences(eager, replayed), "") << "step " << t;
  }
  EXPECT_EQ(replayed.optimizer.steps_taken(0), 6);
}

// Dynamic loss scaling: a graph reads the scale at every replay; one that ran away falls under the non-finite policy.
TEST_F(Gpu, AGraphReadsTheLossScaleAtEveryReplay) {
  OwnStream stream;
  DeviceTraining device(specs(false), groups(false));
  Training host(specs(false), groups(false));
  DeviceBytes scale(sizeof(float));
  float on_host = 0;
  device.optimizer.set_gradient_scale(static_cast<const float*>(scale.data()));
  host.optimizer.set_gradient_scale(&on_host);
  const Graph graph(stream, [&] { device.optimizer.step(device.pointers, stream); });
  int t = 0;
  for (const float value : {1.0f, 1024.0f, std::numeric_limits<float>::infinity(), 3.0f}) {
    ++t;
    on_host = value;
    scale.upload(std::as_bytes(std::span(&on_host, 1)), stream);
    device.load_gradients(t, stream);
    graph.replay(stream);
    host.step(t);
    ASSERT_EQ(differences(device, host), "") << "scale " << value;
  }
}

TEST_F(Gpu, CheckpointsGoOnOnTheHostAndBack) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("plumbline-gpu-" + std::to_string(getpid()) + ".safetensors");
  DeviceTraining device(specs(false), groups(false)), back(specs(false), groups(false));
  Training host(specs(false), groups(false));
  for (int t = 1; t <= 2; ++t) device.step(t);
  save_checkpoint(device.optimizer, path);
  load_checkpoint(host.optimizer, path);
  host.parameters = device.download();
  for (size_t i = 0; i < host.specs.size(); ++i) host.pointers[i].parameter = host.parameters[i].data();
  ASSERT_EQ(differences(device, host), "");
  device.step(3);
  host.step(3);
  ASSERT_EQ(differences(device, host), "");
  save_checkpoint(host.optimizer, path);
  load_checkpoint(back.optimizer, path);
  for (size_t i = 0; i < host.specs.size(); ++i) back.parameters[i].upload(host.parameters[i].span());
  device.step(4);
  back.step(4);
  EXPECT_EQ(differences(device, back), "");
  std::filesystem::remove(path);
}

TEST_F(Gpu, ASwitchOfPrecisionHasTheBitsOfTheHosts) {
  DeviceTraining device(specs(false), groups(false));
  Training host(specs(false), groups(false));
  device.step(1);
  host.step(1);
  for (const Storage storage : {Storage::fp32, Storage::al8}) {
    for (int group = 0; group < int(groups(false).size()); ++group) {
      Precision precision = precision_of(groups(false)[size_t(group)]);
      precision.storage = storage;
      precision.momentum_storage = storage == Storage::fp32 ? Storage::fp32 : Storage::uf8;
      precision.rounding = Rounding::nearest;
      precision.momentum_rounding = Rounding::stochastic;  // with al8 and uf8, not all of the groups' own are taken
      device.optimizer.set_precision(precision, nullptr, group);
      host.optimizer.set_precision(precision, nullptr, group);
    }
    device.step(2);
    host.step(2);
    ASSERT_EQ(differences(device, host), "");
  }
}

TEST_F(Gpu, MemoryThatIsNotTheDevicesIsNamedAndNothingChanges) {
  DeviceTraining run({{"w", {8, 8}}, {"b", {8}}}, {GroupOptions{}});
  run.step(1);
  const std::vector<Values> before = run.download();
  const auto refused = [&](std::vector<TensorPointers> pointers, const char* says) {
    try {
      run.optimizer.step(pointers);
      ADD_FAILURE() << "taken, expected: " << says;
    } catch (const OptionError& error) {
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
    EXPECT_TRUE(run.download() == before);
    EXPECT_EQ(run.optimizer.steps_taken(0), 1);
  };
  std::vector<TensorPointers> pointers = run.pointers;
  pointers[1].gradient = run.host.gradients[1].data();
  refused(pointers, "tensor 'b': gradient pointer: memory of the host, expected device 0");
  pointers = run.pointers;
  pointers[0].parameter = run.host.parameters[0].data();
  refused(pointers, "tensor 'w': parameter pointer: memory of the host, expected device 0");
  const float scale = 1;
  EXPECT_THROW(run.optimizer.set_gradient_scale(&scale), OptionError);
  int devices = 0;
  check(cudaGetDeviceCount(&devices));
  EXPECT_THROW(Optimizer({{"w", {8}}}, {GroupOptions{}}, {.backend = Backend::cuda, .device = devices}), CudaError);
  if (devices < 2) return;
  check(cudaSetDevice(1));
  const DeviceBytes elsewhere(4096);
  check(cudaSetDevice(0));
  pointers = run.pointers;
  pointers[1].parameter = elsewhere.data();
  refused(pointers, "tensor 'b': parameter pointer: memory of device 1, expected device 0");
}

TEST_F(Gpu, WhereMemoryRunsOutNothingStaysAllocated) {
  const auto used = [] {
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total));
    return total - free;
  };
  GroupOptions full;
  full.factored = false;
  full.storage = Storage::fp32;
  for (int i = 0; i < 2; ++i) {  // kernels that were not loaded yet take memory of their own
    DeviceTraining warm(specs(false), groups(false));
    warm.step(1);
    check(cudaDeviceSynchronize());
  }
  const size_t before = used();
  // state of 4 TB at once; and four tensors' worth of a GPU's memory that fail late, with other allocations made
  EXPECT_THROW(Optimizer({{"w", {int64_t(1) << 40}}}, {full}, {.backend = Backend::cuda}), std::bad_alloc);
  EXPECT_LE(used(), before);  // the driver may give back some of its own
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  for (int i = 0; i < 3; ++i) {
    DeviceTraining run(specs(false), groups(false));
    run.step(1);
    check(cudaDeviceSynchronize());
  }
  EXPECT_LE(used(), before);
}

// --- more than 2^31 elements, each at its place: two steps, every byte equal to the twin's ---

struct Large {
  const char* name;
  std::vector<int64_t> shape;
  OptionList options;
};
class LargeTensors : public testing::TestWithParam<Large> {};

TEST_P(LargeTensors, HaveTheBitsOfTheHostTwin) {
  if (const std::string why = backend_unavailable(Backend::cuda); !why.empty()) GTEST_SKIP() << why;
  const std::vector<TensorSpec> specs = {{"w", GetParam().shape, Type::bfloat16, Type::bfloat16}};
  const auto bytes = size_t(elements(specs[0])) * 2;
  ASSERT_GT(elements(specs[0]), int64_t(1) << 31);
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  const auto host_pages = size_t(sysconf(_SC_AVPHYS_PAGES)), page = size_t(sysconf(_SC_PAGESIZE));
  if (free < 5 * bytes || host_pages * page < 6 * bytes) GTEST_SKIP() << "needs " << 6 * bytes << " bytes of memory";

  // a pattern again and again, of a length that no power of two is a multiple of
  constexpr int64_t kPeriod = 3 * 7 * 65536;
  const auto repeat = [&](uint64_t seed, double scale) {
    Values pattern(kPeriod, Type::bfloat16);
    pattern.fill(scale, seed);
    std::vector<std::byte> all(bytes);
    for (size_t at = 0; at < bytes; at += size_t(kPeriod) * 2)
      std::memcpy(all.data() + at, pattern.data(), std::min(size_t(kPeriod) * 2, bytes - at));
    return all;
  };
  std::vector<std::byte> parameter = repeat(1, 0.5), gradient = repeat(2, 1e-2);
  DeviceBytes on_device(bytes), device_gradient(bytes);
  on_device.upload(parameter);
  device_gradient.upload(gradient);
  const std::vector<GroupOptions> groups = {options_of(GetParam().options)};
  Optimizer device(specs, groups, {.backend = Backend::cuda});
  Optimizer host(specs, groups, {.threads = int(std::max(1u, std::thread::hardware_concurrency()))});
  const TensorPointers device_pointers[] = {{on_device.data(), device_gradient.data()}};
  const TensorPointers host_pointers[] = {{parameter.data(), gradient.data()}};
  for (int t = 1; t <= 2; ++t) {
    device.step(device_pointers);
    host.step(host_pointers);
  }
  on_device.download(gradient);  // whose host copy is done with
  EXPECT_TRUE(gradient == parameter);
  EXPECT_TRUE(same_state(device, host));
}

INSTANTIATE_TEST_SUITE_P(
    Past, LargeTensors,
    testing::Values(Large{"vector", {(int64_t(1) << 31) + 12345}, {}},
                    Large{"matrix", {65600, 32800}, {{"beta1", "0.9"}, {"momentum_of", "update"}}},
                    Large{"wide", {9, 240'000'011}, {{"beta1", "0.9"}}}, Large{"tall", {240'000'011, 9}, {}},
                    Large{"batch", {70000, 160, 192}, {{"beta1", "0.9"}, {"momentum_of", "update"}, {"beta3", "0.99"}}},
                    Large{"projected", {65600, 32800}, {{"projection_rank", "1"}, {"projection_scale_by", "tensor"}}}),
    [](const auto& large) { return std::string(large.param.name); });

}  // namespace
}  // namespace plumbline
