// Memory of a backend with guard words around every buffer, poisoned before use.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cuda/api/optimizer.h"

namespace plumbline::harness {

// Raw memory of the host or of a device.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* allocate(size_t bytes) = 0;
  virtual void deallocate(void* memory) noexcept = 0;
  virtual void upload(void* to, const std::byte* from, size_t bytes) = 0;
  virtual void download(std::byte* to, const void* from, size_t bytes) = 0;
};
std::unique_ptr<Memory> make_host_memory();
std::unique_ptr<Memory> make_cuda_memory(int device);  // defined only in builds with CUDA

// A buffer between two guards. The body starts as signalling garbage, so whatever reads before writing shows.
class GuardedBuffer {
 public:
  static constexpr size_t kGuard = 256;
  GuardedBuffer(Memory& memory, size_t bytes);
  ~GuardedBuffer();
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  void* data() const { return base_ + kGuard; }
  size_t size() const { return bytes_; }
  void write(std::span<const std::byte> from);
  void read(std::span<std::byte> to) const;
  // Throws std::runtime_error naming the buffer and the first changed guard byte.
  void check_guards(const char* what) const;

 private:
  Memory& memory_;
  size_t bytes_;
  std::byte* base_;
};

// The library's arenas, guarded.
class GuardedResource final : public MemoryResource {
 public:
  explicit GuardedResource(Memory& memory);
  ~GuardedResource() override;
  void* allocate(size_t bytes) override;
  void deallocate(void* memory, size_t bytes) noexcept override;
  void check_guards() const;

 private:
  struct Arenas;
  Memory& memory_;
  std::unique_ptr<Arenas> arenas_;
};

}  // namespace plumbline::harness
