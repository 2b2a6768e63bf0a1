// A machine for kernels without a GPU: every thread of a block is a fiber, and a seed picks an adversarial schedule.
//
// A thread runs until it waits (block barrier, warp exchange, counter) or ends; which one goes on then is the
// schedule's choice. Asynchronous copies arrive at the wait that covers them and not before: until then their
// destination holds poison. Shared memory is poisoned when a block starts and has guard words. Reported as
// EmulationError, with the kernel, block, thread and source line: a barrier or exchange that not every thread reaches,
// threads at different ones, a wait for a count that no running block brings about, misaligned vector accesses, writes
// past shared memory, an overflown stack.
//
// Everything belongs to the calling host thread (kernels of different host threads run side by side), and nothing
// depends on time or addresses: the same seed gives the same run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "cuda/plan/site.h"

namespace plumbline::emulator {

class EmulationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr int kWarpSize = 32;
inline constexpr int kMaxThreads = 1024;               // of a block
inline constexpr size_t kMaxStaticShared = 48 * 1024;  // bytes, as on a GPU
inline constexpr size_t kMaxDynamicShared = 227 * 1024;

struct Launch {
  const char* kernel = "";    // for messages
  int grid = 1;               // blocks
  int block = kWarpSize;      // threads of a block, a multiple of the warp size
  size_t dynamic_shared = 0;  // bytes
  uint64_t seed = 0;          // of the schedule; 0..4 are the five basic ones, larger ones mix
};

// Runs body(arguments) once for every thread of every block, to the end. Throws EmulationError or what a thread threw.
void run(const Launch& launch, void (*body)(const void*), const void* arguments);

// ---- what a running thread sees; only valid inside run() -----------------------------------------------------
struct Position {
  int thread = 0, block = 0, block_size = 0, grid_size = 0;
};
// Of the thread that runs now. The machine sets it at every switch.
inline thread_local constinit Position position{};

void block_barrier(Site site);
// Of the block's first `threads` threads, a multiple of the warp size and always the same.
void part_barrier(int threads, Site site);
// Every lane of the warp gives a value and takes that of source_lane.
uint64_t warp_exchange(uint64_t value, int source_lane, Site site);
// Until a counter in memory, which other blocks may raise, is at least so high.
void wait_for(const uint32_t* counter, uint32_t least, Site site);
// Static shared memory of the block: the same key gives the same memory in every thread of the block.
void* static_shared(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();

// Asynchronous copies of the running thread, as cp.async: copies, closed into groups, waited for by groups.
void copy_async(void* destination, const void* source, int bytes, bool valid, Site site);
void copy_commit();
void copy_wait(int groups_left);

// A barrier in shared memory, as mbarrier, and copies of ranges to it, as cp.async.bulk: those arrive when a thread
// waits for them and not before.
struct alignas(8) PhaseBarrier {
  uint8_t phase;     // phases that are over, modulo 256
  uint8_t arrivals;  // of every phase
  uint8_t missing;   // of this one
  uint8_t unused;
  int32_t expected;  // bytes of this one
};
void arrive(PhaseBarrier& barrier, int bytes, Site site);
void wait_for_phase(PhaseBarrier& barrier, uint32_t phase, Site site);
void copy_range(void* destination, const void* source, int bytes, PhaseBarrier& barrier, Site site);

// Throws EmulationError unless address is a multiple of alignment.
void expect_aligned(const void* address, size_t alignment, Site site);

}  // namespace plumbline::emulator
