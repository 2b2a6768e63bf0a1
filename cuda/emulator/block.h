// The state of a block under emulation: its threads, warps and shared memory.
#pragma once
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda/emulator/fiber.h"
#include "cuda/emulator/machine.h"

namespace plumbline::emulator {

inline constexpr int kPoison = 0xFF;  // NaN as a float and as a double, -1 as an integer
inline constexpr size_t kGuardBytes = 64;
inline constexpr int kGuard = 0x5A;

enum class Wait : uint8_t { ready, barrier, warp, phase, count, done };

struct Copy {
  void* destination;
  const void* source;  // null: zeros
  int bytes;
  int group;
  Site site;  // where it was started
};

struct Range {
  void* destination;
  const void* source;
  int bytes;
  const PhaseBarrier* barrier;
};

struct Thread {
  Context* context = nullptr;
  Position position;
  Wait wait = Wait::done;
  Site site;
  const uint32_t* counter = nullptr;  // waited for
  uint32_t least = 0;
  std::vector<Copy> copies;  // from `arrived` on under way, oldest first
  size_t arrived = 0;
  int group = 0;  // the one that is open
};

struct Warp {
  int arrived = 0, ready = 0;
  unsigned generation = 0;  // of exchanges
  Site site;                // of the exchange under way
  std::array<std::array<uint64_t, kWarpSize>, 2> values;
};

struct Shared {  // one kind of a block's shared memory, guarded at its end
  std::unique_ptr<std::byte[]> memory;
  size_t used = 0;
  void reset(size_t capacity, size_t use) {
    if (!memory) memory = std::make_unique_for_overwrite<std::byte[]>(capacity + kGuardBytes);
    used = use;
    std::memset(memory.get(), kPoison, use);
    std::memset(memory.get() + use, kGuard, kGuardBytes);
  }
  bool intact() const {
    for (size_t i = 0; i < kGuardBytes; ++i)
      if (memory[used + i] != std::byte{kGuard}) return false;
    return true;
  }
};

struct Barrier {
  int arrived = 0;
  Site site;  // of those who wait
};

struct Block {
  int index = -1, live = 0;
  int counting = 0;  // threads that wait for a counter
  Barrier whole, part;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Range> ranges;  // under way
  Shared statics, dynamics;
  struct Static {
    const void* key;
    size_t offset, bytes;
  };
  std::vector<Static> static_table;
};

}  // namespace plumbline::emulator
