// The device operations of cuda/device.h, on the emulator. Included by that header only.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda/emulator/machine.h"

#define PLUMBLINE_TARGET emulated
#define PLUMBLINE_KERNEL(max_threads, min_blocks) inline void
#define PLUMBLINE_DEVICE inline
#define PLUMBLINE_FUNCTION inline
#define PLUMBLINE_UNROLL
#define PLUMBLINE_LOOP
#define PLUMBLINE_SHARED(type, name)    \
  static constexpr char name##_key = 0; \
  type& name = *static_cast<type*>(::plumbline::emulator::static_shared(&name##_key, sizeof(type), alignof(type)))
#define PLUMBLINE_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(::plumbline::emulator::dynamic_shared())

namespace plumbline::emulated {

inline constexpr int kWarp = emulator::kWarpSize;

inline int thread_index() { return emulator::position.thread; }
inline int block_index() { return emulator::position.block; }
inline int block_size() { return emulator::position.block_size; }
inline int grid_size() { return emulator::position.grid_size; }

inline void begin_grid() {}
inline void block_barrier(Site site = Site::current()) { emulator::block_barrier(site); }
inline void part_barrier(int threads, Site site = Site::current()) { emulator::part_barrier(threads, site); }

template <class T>
T shuffle(T x, int lane, Site site = Site::current()) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof(T));
  bits = emulator::warp_exchange(bits, lane, site);
  std::memcpy(&x, &bits, sizeof(T));
  return x;
}
template <class T>
T shuffle_xor(T x, int distance, Site site = Site::current()) {
  return shuffle(x, (emulator::position.thread % kWarp) ^ distance, site);
}
inline void warp_barrier(Site site = Site::current()) { emulator::warp_exchange(0, 0, site); }

inline uint32_t warp_max(uint32_t x, Site site = Site::current()) {
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const uint32_t other = shuffle_xor(x, distance, site);
    x = other > x ? other : x;
  }
  return x;
}
inline uint32_t warp_min(uint32_t x, Site site = Site::current()) { return ~warp_max(~x, site); }

// As wrong as a chip may be, now above and now below.
inline float off_by_little(double exact, double error) {
  uint64_t bits = 0;
  std::memcpy(&bits, &exact, sizeof bits);
  return float(exact + (bits * 0x9e3779b97f4a7c15u >> 63 != 0 ? error : -error));
}
inline float approximate_rsqrt(float x) {
  const double exact = 1.0 / std::sqrt(double(x));
  return off_by_little(exact, 0x1p-23 * exact);
}
inline float approximate_log2(float x) {
  const double exact = std::log2(double(x)), size = std::fabs(exact);
  return off_by_little(exact, 0x1.cp-23 * (size < 1.0 ? 1.0 : size));
}

inline uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = a | uint64_t(b) << 32;
  uint32_t x = 0;
  for (int i = 0; i < 4; ++i) x |= uint32_t(bytes >> (selector >> 4 * i & 7u) * 8 & 0xffu) << 8 * i;
  return x;
}

template <int N>
struct alignas(N) Bits {
  uint32_t word[N / 4];
};
template <int N>
Bits<N> load(const void* address, Site site = Site::current()) {
  emulator::expect_aligned(address, N, site);
  Bits<N> x;
  std::memcpy(&x, address, N);
  return x;
}
template <int N>
void store(void* address, const Bits<N>& x, Site site = Site::current()) {
  emulator::expect_aligned(address, N, site);
  std::memcpy(address, &x, N);
}
template <int N>
Bits<N> load_streaming(const void* address, Site site = Site::current()) {
  return load<N>(address, site);
}
template <int N>
void store_streaming(void* address, const Bits<N>& x, Site site = Site::current()) {
  store<N>(address, x, site);
}

inline void copy16_async(void* destination, const void* source, bool valid, Site site = Site::current()) {
  emulator::copy_async(destination, source, 16, valid, site);
}
inline void copy_commit() { emulator::copy_commit(); }
template <int GroupsLeft>
void copy_wait() {
  emulator::copy_wait(GroupsLeft);
}

inline void prefetch_line(const void*) {}

using PhaseBarrier = emulator::PhaseBarrier;
inline void prepare_barrier(PhaseBarrier& barrier, int arrivals) {
  barrier = {0, uint8_t(arrivals), uint8_t(arrivals), 0, 0};
}
inline void arrive(PhaseBarrier& barrier, Site site = Site::current()) { emulator::arrive(barrier, 0, site); }
inline void wait_for_phase(PhaseBarrier& barrier, uint32_t phase, Site site = Site::current()) {
  emulator::wait_for_phase(barrier, phase, site);
}
inline void copy_range_async(void* destination, const void* source, int bytes, PhaseBarrier& barrier,
                             Site site = Site::current()) {
  emulator::copy_range(destination, source, bytes, barrier, site);
}
inline void store_before_ranges() {}
inline void expect_reads(const void*, int) {}

template <class T>
T load_fresh(const T* address) {
  return *address;
}
// Threads switch only where they wait, so these are atomic as they stand.
template <class T>
T atomic_add(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
inline void memory_fence() {}
inline uint32_t signal(uint32_t* counter) { return atomic_add(counter, uint32_t(1)); }
inline uint32_t read_count(const uint32_t* counter) { return *counter; }
inline void wait_for(const uint32_t* counter, uint32_t least, Site site = Site::current()) {
  emulator::wait_for(counter, least, site);
}

}  // namespace plumbline::emulated
