// The emulator as a device: memory is the host's, a launch runs to its end.
#pragma once
#include <cstring>
#include <string>
#include <tuple>

#include "cuda/emulator/machine.h"
#include "cuda/kernels/policy.h"
#include "cuda/state/arena.h"

namespace plumbline::emulated {

class Runtime {
 public:
  static constexpr size_t kParameterBytes = 4096;  // of a kernel, at most: fibers have small stacks

  // The schedule seed also picks the device: a small one without room for wide rows, or a large one,
  // with copies of ranges or without.
  explicit Runtime(const OptimizerConfig& config)
      : seed_(config.schedule_seed),
        limits_{1 + int(seed_ % 3), seed_ % 2 == 0 ? emulator::kMaxDynamicShared : size_t(64) * 1024, seed_ % 4 == 0} {}

  MemoryResource& memory() const { return host_memory(); }
  const DeviceLimits& limits() const { return limits_; }

  template <class... Parameters, class... Arguments>
  void launch(const char* name, void (*kernel)(Parameters...), int64_t grid, int block, size_t dynamic_shared, Stream,
              const Arguments&... arguments) const {
    const std::tuple<void (*)(Parameters...), Parameters...> call(kernel, arguments...);
    const auto body = [](const void* packed) {
      std::apply([](auto function, const auto&... values) { function(values...); },
                 *static_cast<const decltype(call)*>(packed));
    };
    emulator::run({name, int(grid), block, dynamic_shared, seed_}, body, &call);
  }
  // Of the launches of a step, whose kernels call begin_grid().
  template <class Kernel>
  void prepare(Kernel, size_t) const {}
  template <class Kernel, class... Arguments>
  void launch_next(const char* name, Kernel kernel, int64_t grid, int block, size_t dynamic_shared, Stream stream,
                   const Arguments&... arguments) const {
    launch(name, kernel, grid, block, dynamic_shared, stream, arguments...);
  }

  std::string address_fault(const void*) const { return {}; }
  void copy_to_host(void* to, const void* from, size_t bytes, Stream) const { std::memcpy(to, from, bytes); }
  void copy_to_device(void* to, const void* from, size_t bytes, Stream) const { std::memcpy(to, from, bytes); }
  void copy(void* to, const void* from, size_t bytes, Stream) const { std::memcpy(to, from, bytes); }
  void zero(void* memory, size_t bytes, Stream) const { std::memset(memory, 0, bytes); }
  void poison(void* memory, size_t bytes) const { std::memset(memory, 0xFF, bytes); }

  struct Use {
    explicit Use(const Runtime&) {}
  };

 private:
  uint64_t seed_;
  DeviceLimits limits_;
};

}  // namespace plumbline::emulated
