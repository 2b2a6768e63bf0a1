#include "cuda/diagnostics/soak_device.h"
#include "cuda/diagnostics/tensor_chain.h"

namespace plumbline {
namespace gpu {
namespace {

// One warp's chain of products; every warp of the grid has the same.
__global__ void __launch_bounds__(diagnostics::kChainThreads, 4)
    tensor_chain(uint32_t seed, int iterations, ChainOutput* outputs) {
  ChainOutput& out = outputs[blockIdx.x];
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  uint32_t hash = diagnostics::tensor_start(seed, int(threadIdx.x % 32));
  uint64_t sum = 0;
  for (int i = 0; i < iterations; ++i) {
    const diagnostics::TensorFragments f = diagnostics::tensor_fragments(hash);
    int32_t d[4];
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, "
        "%10};"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(f.a[0]), "r"(f.a[1]), "r"(f.a[2]), "r"(f.a[3]), "r"(f.b[0]), "r"(f.b[1]), "r"(0));
    hash = diagnostics::tensor_absorb(hash, d);
    sum = diagnostics::mix64(sum + hash);
  }
  out.sum[threadIdx.x] = sum;
#endif
  if (threadIdx.x == 0) out.multiprocessor = multiprocessor();
}

class GpuSoak final : public DeviceSoak {
 public:
  GpuSoak(const OptimizerConfig& config, uint64_t bytes) : DeviceSoak(config, bytes), device_(config.device) {}
  bool has_tensor() const override {
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device_));
    return major >= 8;
  }
  PieceResult tensor(uint32_t seed, int iterations, const std::vector<uint64_t>& known, int launches) override {
    const Use use(runtime_);
    runtime_.copy_to_device(known_.data(), known.data(), known.size() * sizeof(uint64_t), nullptr);
    return measure(0, sum_of(known, launches), [&] {
      for (int i = 0; i < launches; ++i) {
        runtime_.launch("tensor_chain", tensor_chain, chain_blocks(), diagnostics::kChainThreads, 0, nullptr, seed,
                        iterations, outputs());
        compare(int(known.size()));
      }
    });
  }

 private:
  int device_;
};

uint64_t free_memory(int device) {
  const Runtime::Use use(device);
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  return free;
}

}  // namespace
}  // namespace gpu

namespace diagnostics {

std::unique_ptr<SoakEngine> make_gpu_soak(int device, uint64_t bytes) {
  OptimizerConfig config;
  config.backend = Backend::cuda;
  config.device = device;
  if (bytes == 0) bytes = gpu::free_memory(device) / 10 * 9;
  return std::make_unique<gpu::GpuSoak>(config, bytes);
}

}  // namespace diagnostics
}  // namespace plumbline
