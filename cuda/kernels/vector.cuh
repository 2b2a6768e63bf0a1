// Short vectors of elements as threads hold them, and their way from and to memory.
#pragma once
#include <type_traits>

#include "cuda/core/number.h"
#include "cuda/device.h"

namespace plumbline::PLUMBLINE_TARGET {

template <class T, int N>
struct Vec {
  T x[N];
};
// Elements of 16 bytes.
template <class T>
inline constexpr int kVector = 16 / int(sizeof(T));

// N elements as they lie in memory: 16-bit ones two to a register.
template <class T, int N>
struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Packed {
  uint32_t word[N * sizeof(T) / 4];
};

template <class T, int N, class Words>
PLUMBLINE_DEVICE Vec<T, N> unpack(const Words& words) {
  static_assert(sizeof(Vec<T, N>) == sizeof(Words));
  Vec<T, N> v;
  std::memcpy(&v, &words, sizeof v);
  return v;
}
template <class Words, class T, int N>
PLUMBLINE_DEVICE Words pack(const Vec<T, N>& v) {
  static_assert(sizeof(Vec<T, N>) == sizeof(Words));
  Words words;
  std::memcpy(&words, &v, sizeof words);
  return words;
}
// N elements from memory as float32: of bfloat16 an instruction each.
template <class T, int N, class Words>
PLUMBLINE_DEVICE void widen_all(const Words& words, float (&x)[N]) {
  if constexpr (std::is_same_v<T, core::bf16>) {
    static_assert(sizeof words == N * sizeof(T));
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) {
      const uint32_t pair = words.word[e / 2];
      x[e] = core::from_bits(e % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
    }
  } else {
    const auto v = unpack<T, N>(words);
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) x[e] = core::widen(v.x[e]);
  }
}

// The other way, as core::narrow does it: to bfloat16 two at once.
template <class T, int N>
PLUMBLINE_DEVICE void narrow_all(const float (&x)[N], Vec<T, N>& v) {
  const auto one_by_one = [&] {
    PLUMBLINE_UNROLL
    for (int e = 0; e < N; ++e) core::narrow(x[e], v.x[e]);
  };
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, core::bf16>) {
    if (core::is_mutant(core::Mutant::bfloat16_truncated)) return one_by_one();
    uint32_t pairs[N / 2];
    PLUMBLINE_UNROLL
    for (int i = 0; i < N / 2; ++i)
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pairs[i]) : "f"(x[2 * i + 1]), "f"(x[2 * i]));
    std::memcpy(&v, pairs, sizeof v);
  } else {
    one_by_one();
  }
#else
  one_by_one();
#endif
}

// The first `count` of N elements, the others 0; `whole` promises count >= N or count <= 0, and an aligned address.
template <class T, int N>
PLUMBLINE_DEVICE Packed<T, N> load_elements(const T* from, int64_t count, bool whole) {
  constexpr int kBytes = int(N * sizeof(T)), kPiece = kBytes < 16 ? kBytes : 16, kWords = kPiece / 4;
  Packed<T, N> packed = {};
  if (whole) {
    if (count <= 0) return packed;
    PLUMBLINE_UNROLL
    for (int i = 0; i < kBytes / kPiece; ++i) {
      const auto piece = load_streaming<kPiece>(from + i * (kPiece / int(sizeof(T))));
      PLUMBLINE_UNROLL
      for (int w = 0; w < kWords; ++w) packed.word[i * kWords + w] = piece.word[w];
    }
    return packed;
  }
  Vec<T, N> v = {};
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e)
    if (e < count) v.x[e] = from[e];
  return pack<Packed<T, N>>(v);
}
template <class T, int N>
PLUMBLINE_DEVICE void store_elements(T* to, const Vec<T, N>& v, int64_t count, bool whole) {
  constexpr int kBytes = int(N * sizeof(T)), kPiece = kBytes < 16 ? kBytes : 16, kWords = kPiece / 4;
  if (whole) {
    if (count <= 0) return;
    const auto packed = pack<Packed<T, N>>(v);
    PLUMBLINE_UNROLL
    for (int i = 0; i < kBytes / kPiece; ++i) {
      Bits<kPiece> piece;
      PLUMBLINE_UNROLL
      for (int w = 0; w < kWords; ++w) piece.word[w] = packed.word[i * kWords + w];
      store_streaming<kPiece>(to + i * (kPiece / int(sizeof(T))), piece);
    }
    return;
  }
  PLUMBLINE_UNROLL
  for (int e = 0; e < N; ++e)
    if (e < count) to[e] = v.x[e];
}

}  // namespace plumbline::PLUMBLINE_TARGET
