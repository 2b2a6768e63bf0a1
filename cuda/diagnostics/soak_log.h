// The log of miscompares in device memory, and where a thread runs.
#pragma once
#include "cuda/device.h"
//
#include "cuda/diagnostics/soak_engine.h"

namespace plumbline::PLUMBLINE_TARGET {

struct MiscompareLog {
  uint32_t count;
  uint32_t unused;
  uint64_t sum;  // what the pieces add up for the host
  diagnostics::Miscompare entry[diagnostics::SoakEngine::kLogged];
};

#ifdef PLUMBLINE_EMULATOR
inline uint32_t multiprocessor() { return uint32_t(block_index()); }
inline uint64_t device_nanoseconds() { return 0; }
#else
PLUMBLINE_DEVICE uint32_t multiprocessor() {
  uint32_t id;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  return id;
}
PLUMBLINE_DEVICE uint64_t device_nanoseconds() {
  uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
#endif

#ifdef PLUMBLINE_EMULATOR
inline
#else
__device__ __noinline__
#endif
    void
    log_miscompare(MiscompareLog* log, uint64_t expected, uint64_t actual, uint64_t where, uint64_t address,
                   uint32_t on) {
  const uint32_t place = atomic_add(&log->count, 1u);
  if (place >= uint32_t(diagnostics::SoakEngine::kLogged)) return;
  diagnostics::Miscompare& entry = log->entry[place];
  entry.expected = expected;
  entry.actual = actual;
  entry.where = where;
  entry.address = address;
  entry.nanoseconds = device_nanoseconds();
  entry.block = uint32_t(block_index());
  entry.multiprocessor = on;
}

// Adds the warp's sums to the log's.
PLUMBLINE_DEVICE void add_to_log(MiscompareLog* log, uint64_t sum) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) sum += shuffle_xor(sum, distance);
  if (thread_index() % kWarp == 0) atomic_add(&log->sum, sum);
}

}  // namespace plumbline::PLUMBLINE_TARGET
