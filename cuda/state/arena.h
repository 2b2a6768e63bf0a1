// One allocation of a backend's memory, given back on destruction.
#pragma once
#include <cstddef>
#include <utility>

#include "cuda/api/optimizer.h"

namespace plumbline {

class Arena {
 public:
  Arena(MemoryResource& memory, size_t bytes) : memory_(&memory), data_(memory.allocate(bytes)), bytes_(bytes) {}
  ~Arena() {
    if (data_ != nullptr) memory_->deallocate(data_, bytes_);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  MemoryResource* memory_;
  void* data_;
  size_t bytes_;
};

// Aligned operator new.
MemoryResource& host_memory();

}  // namespace plumbline
