// From a function's name to the code that was made for it.
#pragma once
#include <algorithm>
#include <cstdint>

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "cuda/diagnostics/function.h"

namespace plumbline::diagnostics {

// Calls work.template operator()<F>().
template <class Work>
void with_function(Function function, const Work& work) {
  switch (function) {
#define PLUMBLINE_FUNCTION(name) \
  case Function::name:           \
    return work.template operator()<Function::name>();
    PLUMBLINE_FUNCTION(log2)
    PLUMBLINE_FUNCTION(exp2)
    PLUMBLINE_FUNCTION(exp2_subnormal)
    PLUMBLINE_FUNCTION(sqrt)
    PLUMBLINE_FUNCTION(reciprocal)
    PLUMBLINE_FUNCTION(divide)
    PLUMBLINE_FUNCTION(to_bfloat16)
    PLUMBLINE_FUNCTION(to_float16)
    PLUMBLINE_FUNCTION(to_e4m3)
    PLUMBLINE_FUNCTION(to_e5m2)
    PLUMBLINE_FUNCTION(chip_rsqrt)
    PLUMBLINE_FUNCTION(chip_exp2)
    PLUMBLINE_FUNCTION(chip_log2)
#undef PLUMBLINE_FUNCTION
  }
}

// work(i) for 0 <= i < n on at most `threads` cores of the host.
template <class Work>
void for_each(int threads, int64_t n, const Work& work) {
  if (threads <= 1 || n == 1) {
    for (int64_t i = 0; i < n; ++i) work(i);
    return;
  }
  tbb::task_arena arena(threads, 1);
  arena.execute([&] { tbb::parallel_for(int64_t(0), n, work); });
}

}  // namespace plumbline::diagnostics
