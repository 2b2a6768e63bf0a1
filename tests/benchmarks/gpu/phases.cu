#include "tests/benchmarks/gpu/phases.h"

#include "cuda/kernels/check.h"
#include "cuda/kernels/run.h"
#include "cuda/plan/plan.h"
#include "cuda/state/arena.h"

namespace plumbline::bench {
namespace {

__global__ void fill(uint32_t* words, size_t count, uint32_t mask, uint32_t base, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x; i < count; i += size_t(gridDim.x) * blockDim.x) {
    uint32_t z = (uint32_t(i) ^ seed * 0x9e3779b9u) * 2654435761u;  // a murmur-style mixer
    z = (z ^ (z >> 16)) * 0x85ebca6bu;
    z = (z ^ (z >> 13)) * 0xc2b2ae35u;
    words[i] = ((z ^ (z >> 16)) & mask) | base;
  }
}

__global__ void __launch_bounds__(512) read_words(const uint4* from, size_t count, uint32_t* sink) {
  const size_t stride = size_t(gridDim.x) * blockDim.x;
  uint32_t x = 0;
  size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(from + i), b = __ldcs(from + i + stride), c = __ldcs(from + i + 2 * stride),
                d = __ldcs(from + i + 3 * stride);
    x ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w ^ c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
  }
  if (x == 0x12345678u) *sink = x;
}

__global__ void __launch_bounds__(512) copy_words(uint4* to, const uint4* from, size_t count) {
  const size_t stride = size_t(gridDim.x) * blockDim.x;
  size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(from + i), b = __ldcs(from + i + stride), c = __ldcs(from + i + 2 * stride),
                d = __ldcs(from + i + 3 * stride);
    __stcs(to + i, a);
    __stcs(to + i + stride, b);
    __stcs(to + i + 2 * stride, c);
    __stcs(to + i + 3 * stride, d);
  }
  for (; i < count; i += stride) to[i] = from[i];
}

__global__ void step_marker() {}

}  // namespace

struct Phases::Impl {
  static std::vector<gpu::KernelLaunch> make_launches(const Plan& plan, const gpu::Runtime& runtime) {
    const gpu::Group group = {plan.tensors, plan.order, runtime.limits()};
    std::vector<gpu::KernelLaunch> all;
    if (gpu::begins_first(group.front())) all.push_back(gpu::begin_launch(group));
    for (gpu::KernelLaunch& launch : gpu::step_launches(group)) all.push_back(std::move(launch));
    return all;
  }
  gpu::Runtime runtime;
  Plan plan;
  std::vector<gpu::KernelLaunch> launches;
  Arena state, scratch, table;

  Impl(const TensorSpec& spec, const GroupOptions& options)
      : runtime(OptimizerConfig{Backend::cuda}),
        plan(make_plan({&spec, 1}, {&options, 1}, false, sweep_columns(runtime.limits()))),
        launches(make_launches(plan, runtime)),
        state(gpu::device_memory(0), plan.state_bytes),
        scratch(gpu::device_memory(0), plan.scratch_bytes),
        table(gpu::device_memory(0), sizeof(TensorPlan)) {
    const auto initial = plan.initial_state();
    runtime.copy_to_device(state.data(), initial.data(), initial.size(), nullptr);
    runtime.zero(scratch.data(), scratch.bytes(), nullptr);
    runtime.copy_to_device(table.data(), plan.tensors.data(), sizeof(TensorPlan), nullptr);
    for (const gpu::KernelLaunch& launch : launches) runtime.prepare(launch.kernel, launch.shared);
  }
};

Phases::Phases(const TensorSpec& spec, const GroupOptions& options) : impl_(std::make_unique<Impl>(spec, options)) {}
Phases::~Phases() = default;
std::vector<std::string> Phases::names() const {
  std::vector<std::string> names;
  for (const gpu::KernelLaunch& launch : impl_->launches) names.emplace_back(launch.name);
  return names;
}
void Phases::run(size_t i, const TensorPointers& pointers, cudaStream_t stream) {
  const gpu::KernelLaunch& kernel = impl_->launches[i];
  gpu::Launch launch;
  launch.plans = core::at<TensorPlan>(impl_->table.data(), 0);
  launch.state = impl_->state.data();
  launch.scratch = impl_->scratch.data();
  launch.own = pointers;
  launch.item = kernel.items.front();
  launch.average = kernel.average;
  impl_->runtime.launch_next(kernel.name, kernel.kernel, kernel.blocks, kernel.threads, kernel.shared, stream, launch);
}

void fill_random(void* memory, size_t bytes, Type type, uint32_t seed) {
  // sign, mantissa and the lowest bit of the exponent are random
  const uint32_t mask = type == Type::float32 ? 0x80ffffffu : type == Type::bfloat16 ? 0x80ff80ffu : 0x87ff87ffu;
  const uint32_t base = type == Type::float32 ? 0x3b000000u : type == Type::bfloat16 ? 0x3b003b00u : 0x18001800u;
  fill<<<1024, 256>>>(static_cast<uint32_t*>(memory), bytes / 4, mask, base, seed);
  gpu::check(cudaGetLastError());
}

void mark_step(cudaStream_t stream) {
  step_marker<<<1, 1, 0, stream>>>();
  gpu::check(cudaGetLastError());
}

void read_all(const void* memory, size_t bytes, int multiprocessors, uint32_t* sink, cudaStream_t stream) {
  read_words<<<4 * multiprocessors, 512, 0, stream>>>(static_cast<const uint4*>(memory), bytes / 16, sink);
  gpu::check(cudaGetLastError());
}

void copy_all(void* to, const void* from, size_t bytes, int multiprocessors, cudaStream_t stream) {
  copy_words<<<4 * multiprocessors, 512, 0, stream>>>(static_cast<uint4*>(to), static_cast<const uint4*>(from),
                                                      bytes / 16);
  gpu::check(cudaGetLastError());
}

}  // namespace plumbline::bench
