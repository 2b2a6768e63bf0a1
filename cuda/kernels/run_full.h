// Launches of the full path.
#pragma once
#include "cuda/kernels/full.cuh"
#include "cuda/kernels/run.h"

namespace plumbline::PLUMBLINE_TARGET {

void run_full(const Runtime& runtime, const Task& task, Stream stream) {
  const TensorPlan& plan = task.plan;
  const int64_t grid = looping_blocks(runtime.limits(), kFullBlocksPerMultiprocessor, plan.slices * plan.flat_tiles);
  with_type(plan.gradient, [&]<class G>(G) {
    runtime.launch("sweep_full", sweep_full<G>, grid, kFullThreads, 0, stream, task);
    with_type(plan.parameter,
              [&]<class P>(P) { runtime.launch("apply_full", apply_full<G, P>, grid, kFullThreads, 0, stream, task); });
  });
}

}  // namespace plumbline::PLUMBLINE_TARGET
