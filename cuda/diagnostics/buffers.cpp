#include "cuda/diagnostics/buffers.h"

#include <cstring>

#include "cuda/state/arena.h"

namespace plumbline::diagnostics {
namespace {

class HostBuffers final : public Buffers {
 public:
  void* allocate(size_t bytes) override {
    arenas_.push_back(std::make_unique<Arena>(host_memory(), bytes));
    return arenas_.back()->data();
  }
  void upload(void* to, std::span<const std::byte> from) override { std::memcpy(to, from.data(), from.size()); }
  void download(std::span<std::byte> to, const void* from) override { std::memcpy(to.data(), from, to.size()); }

 private:
  std::vector<std::unique_ptr<Arena>> arenas_;
};

}  // namespace

std::unique_ptr<Buffers> make_buffers([[maybe_unused]] Backend backend, [[maybe_unused]] int device) {
#ifdef PLUMBLINE_HAVE_CUDA
  if (backend == Backend::cuda) return make_gpu_buffers(device);
#endif
  return std::make_unique<HostBuffers>();
}

}  // namespace plumbline::diagnostics
