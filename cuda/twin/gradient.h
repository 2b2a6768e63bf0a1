// The gradient as statistics and momentum see it: widened, multiplied, and free of what the policy takes out.
#pragma once
#include "cuda/plan/plan.h"
#include "cuda/twin/rows.h"

namespace plumbline::twin {

struct Gradient {
  const void* data;
  Type type;
  float multiplier;

  // n values from element `first` on: in the data itself or in `buffer`.
  const float* read(int64_t first, int64_t n, float* buffer) const {
    const float* g = widen_row(data, type, first, n, buffer);
    if (multiplier == 1.0f) return g;
    multiply_row(g, multiplier, buffer, n);
    return buffer;
  }
  // Likewise, with the elements under the non-finite policy as 0.
  const float* read_zeroed(int64_t first, int64_t n, float* buffer) const {
    zero_nonfinite(read(first, n, buffer), buffer, n);
    return buffer;
  }
};

}  // namespace plumbline::twin
