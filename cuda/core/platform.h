// What lets one header serve kernels, the kernel emulator and the host twin.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define PLUMBLINE_HD __host__ __device__ __forceinline__
#else
#define PLUMBLINE_HD inline __attribute__((always_inline))
#endif

namespace plumbline::core {

// Bits of a float32 and back.
PLUMBLINE_HD uint32_t to_bits(float x) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(x);
#else
  uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
#endif
}
PLUMBLINE_HD float from_bits(uint32_t u) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(u);
#else
  float x;
  std::memcpy(&x, &u, sizeof x);
  return x;
#endif
}
PLUMBLINE_HD double from_bits64(uint64_t u) {
#ifdef __CUDA_ARCH__
  return __longlong_as_double(static_cast<long long>(u));
#else
  double x;
  std::memcpy(&x, &u, sizeof x);
  return x;
#endif
}

// What lies at a byte offset of an arena.
template <class T>
PLUMBLINE_HD T* at(std::byte* arena, int64_t offset) {
  return reinterpret_cast<T*>(arena + offset);
}
template <class T>
PLUMBLINE_HD T* at(const std::byte* arena, int64_t offset) {
  return reinterpret_cast<T*>(arena + offset);
}

}  // namespace plumbline::core
