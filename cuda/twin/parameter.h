// The parameter on the host: read as float32, updated, and rounded to its type.
#pragma once
#include "cuda/state/slots.h"
#include "cuda/twin/rows.h"

namespace plumbline::twin {

struct Parameter {
  const TensorPlan& t;
  void* data;
  uint32_t writes;  // t - 1: what stochastic roundings count

  const float* read(int64_t first, int64_t n, float* buffer) const {
    return widen_row(data, t.parameter, first, n, buffer);
  }
  // Where the values from element `first` on are updated: in place, or in `buffer`.
  float* open(int64_t first, int64_t n, float* buffer) const { return open_row(data, t.parameter, first, n, buffer); }
  // Rounds what was updated to storage; `at` is where the values lie, for stochastic rounding.
  void close(int64_t first, const SlotRange& at, const float* updated) const;
};

}  // namespace plumbline::twin
