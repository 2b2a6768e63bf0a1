// The device operations that kernels may use, and the only ones: the GPU's here, the emulator's in cuda/emulator/.
//
// A kernel file includes this header first and keeps its code in namespace plumbline::PLUMBLINE_TARGET, so that one
// program can hold both builds of it. Blocks are one-dimensional, a multiple of 32 threads; barriers and exchanges are
// reached by every thread of the block or warp.
#pragma once
#ifdef PLUMBLINE_EMULATOR
#include "cuda/emulator/device.h"
#else
#include <cuda_runtime.h>

#include <cstdint>

#ifdef PLUMBLINE_MUTANTS
#include "cuda/mutants/device.h"
#endif

#define PLUMBLINE_TARGET gpu
#define PLUMBLINE_KERNEL(max_threads, min_blocks) __global__ void __launch_bounds__(max_threads, min_blocks)
#define PLUMBLINE_DEVICE __device__ __forceinline__
// Code whose registers are its own: what it computes is not kept for it through the code around.
#define PLUMBLINE_FUNCTION __device__ __noinline__ inline
#define PLUMBLINE_UNROLL _Pragma("unroll")
#define PLUMBLINE_LOOP _Pragma("unroll 1")
// One struct of static shared memory per kernel; undefined until written.
#define PLUMBLINE_SHARED(type, name) __shared__ type name
#define PLUMBLINE_DYNAMIC_SHARED(type, name) \
  extern __shared__ uint4 name##_bytes[];    \
  type* const name = reinterpret_cast<type*>(name##_bytes)

namespace plumbline::gpu {

inline constexpr int kWarp = 32;

PLUMBLINE_DEVICE int thread_index() { return int(threadIdx.x); }
PLUMBLINE_DEVICE int block_index() { return int(blockIdx.x); }
PLUMBLINE_DEVICE int block_size() { return int(blockDim.x); }
PLUMBLINE_DEVICE int grid_size() { return int(gridDim.x); }

// Comes in every kernel before it reads what earlier launches of the stream wrote, or writes: that is visible behind
// it. On sm_90 blocks of the next launch may take their places from here on and wait there.
PLUMBLINE_DEVICE void begin_grid() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
PLUMBLINE_DEVICE void block_barrier() { __syncthreads(); }
// Of the block's first `threads` threads, a multiple of 32; the others go on.
PLUMBLINE_DEVICE void part_barrier(int threads) { asm volatile("bar.sync 1, %0;" ::"r"(threads) : "memory"); }
PLUMBLINE_DEVICE void warp_barrier() { __syncwarp(); }

template <class T>
PLUMBLINE_DEVICE T shuffle(T x, int lane) {
  return __shfl_sync(0xffffffffu, x, lane);
}
template <class T>
PLUMBLINE_DEVICE T shuffle_xor(T x, int distance) {
  return __shfl_xor_sync(0xffffffffu, x, distance);
}

// Over the lanes; every lane gets it.
PLUMBLINE_DEVICE uint32_t warp_max(uint32_t x) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xffffffffu, x);
#else
  for (int distance = 1; distance < kWarp; distance *= 2) x = max(x, shuffle_xor(x, distance));
  return x;
#endif
}
PLUMBLINE_DEVICE uint32_t warp_min(uint32_t x) { return ~warp_max(~x); }

// 1/sqrt(x) and log2(x) of a normal x > 0 as the chip has them: relative error below 2^-22, of a logarithm between -1
// and 1 an absolute one. No bit of a result may depend on theirs.
PLUMBLINE_DEVICE float approximate_rsqrt(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
PLUMBLINE_DEVICE float approximate_log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Byte i is byte (nibble i of selector) of the eight that a, then b have.
PLUMBLINE_DEVICE uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector) {
  return __byte_perm(a, b, selector);
}

// N bytes, N = 4, 8 or 16, aligned to N in memory.
template <int N>
struct alignas(N) Bits {
  uint32_t word[N / 4];
};
template <int N>
PLUMBLINE_DEVICE Bits<N> load(const void* address) {
  return *static_cast<const Bits<N>*>(address);
}
template <int N>
PLUMBLINE_DEVICE void store(void* address, const Bits<N>& x) {
  *static_cast<Bits<N>*>(address) = x;
}
// Likewise of global memory that will not be used again soon; N = 8 or 16.
template <int N>
PLUMBLINE_DEVICE Bits<N> load_streaming(const void* address) {
  if constexpr (N == 16) {
    const uint4 x = __ldcs(static_cast<const uint4*>(address));
    return {{x.x, x.y, x.z, x.w}};
  } else {
    const uint2 x = __ldcs(static_cast<const uint2*>(address));
    return {{x.x, x.y}};
  }
}
template <int N>
PLUMBLINE_DEVICE void store_streaming(void* address, const Bits<N>& x) {
  if constexpr (N == 16)
    __stcs(static_cast<uint4*>(address), make_uint4(x.word[0], x.word[1], x.word[2], x.word[3]));
  else
    __stcs(static_cast<uint2*>(address), make_uint2(x.word[0], x.word[1]));
}

// Copies 16 bytes from global to shared memory (zeros unless valid), both aligned to 16. They may be read by the
// copying thread after the copy_wait that covers their group, by others after a barrier behind it. Before sm_80: a
// plain copy.
PLUMBLINE_DEVICE void copy16_async(void* destination, const void* source, bool valid) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(destination));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(source), "r"(bytes) : "memory");
#else
  *static_cast<uint4*>(destination) = valid ? __ldg(static_cast<const uint4*>(source)) : make_uint4(0, 0, 0, 0);
#endif
}
PLUMBLINE_DEVICE void copy_commit() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int GroupsLeft>
PLUMBLINE_DEVICE void copy_wait() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(GroupsLeft) : "memory");
#endif
}

// Brings what lies around an address of global memory into L2.
PLUMBLINE_DEVICE void prefetch_line(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address) : "memory");
}

// Copies of whole ranges by the chip's copy engine, and barriers in shared memory at which some threads arrive and
// others wait; both from sm_90 on. One thread prepares a barrier for a number of arrivals, before a block barrier. A
// phase is over once all have arrived, and the bytes that one of them expects with it; then the next one begins. The
// n-th wait (n = 0, 1, ...) of a thread that misses none is for phase n & 1. What was written before an arrival is
// visible behind the wait. Addresses and bytes of ranges are multiples of 16.
struct alignas(8) PhaseBarrier {
  uint64_t state;
};
PLUMBLINE_DEVICE unsigned shared_address(const void* address) {
  return static_cast<unsigned>(__cvta_generic_to_shared(address));
}
PLUMBLINE_DEVICE void prepare_barrier([[maybe_unused]] PhaseBarrier& barrier, [[maybe_unused]] int arrivals) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals) : "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
PLUMBLINE_DEVICE void arrive([[maybe_unused]] PhaseBarrier& barrier) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
#endif
}
PLUMBLINE_DEVICE void wait_for_phase([[maybe_unused]] PhaseBarrier& barrier, [[maybe_unused]] uint32_t phase) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "wait:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra wait;\n"
      "}" ::"r"(shared_address(&barrier)),
      "r"(phase)
      : "memory");
#endif
}
// Arrives, and starts the copy that it expects.
PLUMBLINE_DEVICE void copy_range_async([[maybe_unused]] void* destination, [[maybe_unused]] const void* source,
                                       [[maybe_unused]] int bytes, [[maybe_unused]] PhaseBarrier& barrier) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  const unsigned at = shared_address(&barrier);
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(destination)),
               "l"(source), "r"(bytes), "r"(at)
               : "memory");
#endif
}
// What this thread stored to shared memory comes before ranges that are copied there behind an arrival of its warp.
PLUMBLINE_DEVICE void store_before_ranges() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
// A hint: a range of global memory will be read soon. Allowed at any time, as caches are coherent.
PLUMBLINE_DEVICE void expect_reads([[maybe_unused]] const void* source, [[maybe_unused]] int bytes) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(source), "r"(bytes) : "memory");
#endif
}

// What another block of this launch wrote before its memory_fence.
template <class T>
PLUMBLINE_DEVICE T load_fresh(const T* address) {
  return __ldcg(address);
}
// The old value.
PLUMBLINE_DEVICE uint32_t atomic_add(uint32_t* address, uint32_t value) { return atomicAdd(address, value); }
PLUMBLINE_DEVICE uint64_t atomic_add(uint64_t* address, uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
}
PLUMBLINE_DEVICE void memory_fence() { __threadfence(); }

// A counter that blocks of one launch share. What the signalling thread has seen (its block's work too, behind a
// barrier) is visible to whoever reads or waits for the count, and to its block behind a barrier. A wait may only be
// for what running blocks do.
PLUMBLINE_DEVICE uint32_t signal(uint32_t* counter) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(old) : "l"(counter) : "memory");
  return old;
}
PLUMBLINE_DEVICE uint32_t read_count(const uint32_t* counter) {
  uint32_t count;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(count) : "l"(counter) : "memory");
  return count;
}
PLUMBLINE_DEVICE void wait_for(const uint32_t* counter, uint32_t least) {
  while (read_count(counter) < least) __nanosleep(64);
}

}  // namespace plumbline::gpu
#endif
