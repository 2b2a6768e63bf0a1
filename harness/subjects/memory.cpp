#include "harness/subjects/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>
#include <vector>

namespace plumbline::harness {
namespace {

constexpr std::byte kGuardByte{0xa5};
constexpr std::byte kPoison{0xff};  // NaN in every float type

class HostMemory final : public Memory {
 public:
  void* allocate(size_t bytes) override {
    void* p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!p) throw std::bad_alloc();
    return p;
  }
  void deallocate(void* memory) noexcept override { std::free(memory); }
  void upload(void* to, const std::byte* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(std::byte* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
};

}  // namespace

std::unique_ptr<Memory> make_host_memory() { return std::make_unique<HostMemory>(); }

GuardedBuffer::GuardedBuffer(Memory& memory, size_t bytes) : memory_(memory), bytes_(bytes) {
  base_ = static_cast<std::byte*>(memory.allocate(bytes + 2 * kGuard));
  std::vector<std::byte> fill(bytes + 2 * kGuard, kGuardByte);
  std::fill_n(fill.begin() + kGuard, bytes, kPoison);
  memory_.upload(base_, fill.data(), fill.size());
}

GuardedBuffer::~GuardedBuffer() { memory_.deallocate(base_); }

void GuardedBuffer::write(std::span<const std::byte> from) {
  if (from.empty()) return;  // and perhaps at no address
  memory_.upload(data(), from.data(), std::min(from.size(), bytes_));
}
void GuardedBuffer::read(std::span<std::byte> to) const {
  if (to.empty()) return;
  memory_.download(to.data(), data(), std::min(to.size(), bytes_));
}

void GuardedBuffer::check_guards(const char* what) const {
  std::byte guards[2 * kGuard];
  memory_.download(guards, base_, kGuard);
  memory_.download(guards + kGuard, base_ + kGuard + bytes_, kGuard);
  static const std::vector<std::byte> intact(2 * kGuard, kGuardByte);
  if (std::memcmp(guards, intact.data(), sizeof guards) == 0) return;
  for (size_t i = 0; i < 2 * kGuard; ++i)
    if (guards[i] != kGuardByte)
      throw std::runtime_error(i < kGuard
                                   ? fmt::format("{}: wrote {} bytes before the buffer", what, kGuard - i)
                                   : fmt::format("{}: wrote {} bytes past the buffer's end", what, i - kGuard + 1));
}

struct GuardedResource::Arenas {
  std::map<void*, std::unique_ptr<GuardedBuffer>> buffers;
};

GuardedResource::GuardedResource(Memory& memory) : memory_(memory), arenas_(std::make_unique<Arenas>()) {}
GuardedResource::~GuardedResource() = default;

void* GuardedResource::allocate(size_t bytes) {
  auto buffer = std::make_unique<GuardedBuffer>(memory_, bytes);
  void* at = buffer->data();
  arenas_->buffers.emplace(at, std::move(buffer));
  return at;
}

void GuardedResource::deallocate(void* memory, size_t) noexcept { arenas_->buffers.erase(memory); }

void GuardedResource::check_guards() const {
  for (const auto& [at, buffer] : arenas_->buffers) buffer->check_guards("optimizer arena");
}

}  // namespace plumbline::harness
