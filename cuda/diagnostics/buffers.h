// Plain memory where a backend's tensors lie.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "cuda/api/optimizer.h"

namespace plumbline::diagnostics {

class Buffers {
 public:
  virtual ~Buffers() = default;
  virtual void* allocate(size_t bytes) = 0;  // 256-byte aligned; given back with the object
  virtual void upload(void* to, std::span<const std::byte> from) = 0;
  virtual void download(std::span<std::byte> to, const void* from) = 0;
};
std::unique_ptr<Buffers> make_buffers(Backend backend, int device);
#ifdef PLUMBLINE_HAVE_CUDA
std::unique_ptr<Buffers> make_gpu_buffers(int device);
#endif

}  // namespace plumbline::diagnostics
