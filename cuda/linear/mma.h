// One product of int8 tiles by the 32 lanes of a warp: d (16 x 8, int32) += a (16 x 32) b (32 x 8), exact.
//
// With group = lane / 4 and t = lane % 4: a holds rows group (words 0, 2) and group + 8 (words 1, 3), inputs 4t..4t+3
// (words 0, 1) and 16 + 4t.. (words 2, 3); b column group, inputs 4t.. (word 0) and 16 + 4t.. (word 1); d rows group
// (0, 1) and group + 8 (2, 3), columns 2t and 2t + 1.
#pragma once
#include "cuda/device.h"

namespace plumbline::PLUMBLINE_TARGET {

#ifdef PLUMBLINE_EMULATOR

inline int32_t dot4(uint32_t a, uint32_t b) {
  int32_t sum = 0;
  for (int i = 0; i < 32; i += 8) sum += int32_t(int8_t(a >> i)) * int32_t(int8_t(b >> i));
  return sum;
}
inline uint64_t pair_words(uint32_t low, uint32_t high) { return low | uint64_t(high) << 32; }

// Every lane asks the others for the rows and columns that it multiplies.
inline void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const int lane = thread_index() % kWarp, group = lane / 4, t = lane % 4;
  const uint64_t row = pair_words(a[0], a[2]), row8 = pair_words(a[1], a[3]), column = pair_words(b[0], b[1]);
  for (int j = 0; j < 4; ++j) {
    const uint64_t r = shuffle(row, 4 * group + j), r8 = shuffle(row8, 4 * group + j);
    const uint64_t c = shuffle(column, 8 * t + j), c1 = shuffle(column, 8 * t + 4 + j);
    for (int half = 0; half < 64; half += 32) {
      d[0] += dot4(uint32_t(r >> half), uint32_t(c >> half));
      d[1] += dot4(uint32_t(r >> half), uint32_t(c1 >> half));
      d[2] += dot4(uint32_t(r8 >> half), uint32_t(c >> half));
      d[3] += dot4(uint32_t(r8 >> half), uint32_t(c1 >> half));
    }
  }
}

#else

PLUMBLINE_DEVICE void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  const auto part = [](int32_t& d0, int32_t& d1, uint32_t x, uint32_t y) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                 : "+r"(d0), "+r"(d1)
                 : "r"(x), "r"(y));
  };
  part(d[0], d[1], a[0], b[0]);
  part(d[2], d[3], a[1], b[0]);
  part(d[0], d[1], a[2], b[1]);
  part(d[2], d[3], a[3], b[1]);
#endif
}

#endif

}  // namespace plumbline::PLUMBLINE_TARGET
