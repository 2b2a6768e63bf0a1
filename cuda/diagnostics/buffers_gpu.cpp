#include "cuda/diagnostics/buffers.h"
#include "cuda/kernels/gpu_runtime.h"
#include "cuda/state/arena.h"

namespace plumbline::diagnostics {
namespace {

class GpuBuffers final : public Buffers {
 public:
  explicit GpuBuffers(int device) : runtime_(config_of(device)) {}
  void* allocate(size_t bytes) override {
    const gpu::Runtime::Use use(runtime_);
    arenas_.push_back(std::make_unique<Arena>(runtime_.memory(), bytes));
    return arenas_.back()->data();
  }
  void upload(void* to, std::span<const std::byte> from) override {
    const gpu::Runtime::Use use(runtime_);
    runtime_.copy_to_device(to, from.data(), from.size(), nullptr);
  }
  void download(std::span<std::byte> to, const void* from) override {
    const gpu::Runtime::Use use(runtime_);
    runtime_.copy_to_host(to.data(), from, to.size(), nullptr);
  }

 private:
  static OptimizerConfig config_of(int device) {
    OptimizerConfig config;
    config.backend = Backend::cuda;
    config.device = device;
    return config;
  }

  gpu::Runtime runtime_;
  std::vector<std::unique_ptr<Arena>> arenas_;
};

}  // namespace

std::unique_ptr<Buffers> make_gpu_buffers(int device) { return std::make_unique<GpuBuffers>(device); }

}  // namespace plumbline::diagnostics
