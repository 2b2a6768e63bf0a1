#include "cuda/state/arena.h"

#include <new>

namespace plumbline {
namespace {

constexpr std::align_val_t kAlignment{256};

class HostMemory final : public MemoryResource {
 public:
  void* allocate(size_t bytes) override { return ::operator new(bytes, kAlignment); }
  void deallocate(void* memory, size_t) noexcept override { ::operator delete(memory, kAlignment); }
};

}  // namespace

MemoryResource& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace plumbline
