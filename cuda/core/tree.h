// Pieces of the canonical tree T (geometry.h). Whoever owns an aligned power-of-two range computes a subtree.
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::core {

template <class F>
PLUMBLINE_HD F pair(F a, F b) {
  return a + b;
}
template <class F>
PLUMBLINE_HD F quad(F a, F b, F c, F d) {
  return (a + b) + (c + d);
}
template <class F>
PLUMBLINE_HD F oct(F a, F b, F c, F d, F e, F f, F g, F h) {
  return quad(a, b, c, d) + quad(e, f, g, h);
}

// T over n values in place; x[0] is the sum (n >= 1). For short rows of values that no vector code visits.
template <class F>
PLUMBLINE_HD F tree_in_place(F* x, int64_t n) {
  while (n > 1) {
    const int64_t half = n / 2;
    for (int64_t i = 0; i < half; ++i) x[i] = x[2 * i] + x[2 * i + 1];
    if (n & 1) x[half] = x[n - 1];  // + 0 is exact: no sum here is a negative zero
    n = half + (n & 1);
  }
  return x[0];
}

}  // namespace plumbline::core
