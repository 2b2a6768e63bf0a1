// Launches of the sweep.
#pragma once
#include "cuda/kernels/run.h"
#include "cuda/kernels/sweep.cuh"

namespace plumbline::PLUMBLINE_TARGET {

template <class G, const SweepForm& Form, bool Segmented>
void launch_sweep(const Runtime& runtime, const Task& task, int64_t slices, const SweepShape& shape, Stream stream) {
  const int columns = Segmented ? shape.segment : task.plan.cols;
  const int threads = int(core::ceil_div(core::ceil_div(columns, Form.columns), kWarp)) * kWarp;
  const int64_t grid = slices * task.plan.strips * shape.segments;
  runtime.launch("sweep", sweep<G, Form.columns, Form.rows, Form.stages, Form.threads, Form.keep, Segmented>, grid,
                 threads, Form.ring_bytes(sizeof(G)), stream, task, shape);
}

template <class G, const SweepForm& Form>
void launch_whole(const Runtime& runtime, const Task& task, int64_t slices, Stream stream) {
  launch_sweep<G, Form, false>(runtime, task, slices, {}, stream);
}

template <class G, const SweepForm& Form>
void launch_segments(const Runtime& runtime, const Task& task, int64_t slices, Stream stream) {
  const int32_t width = Form.most_columns(), segments = int32_t(core::ceil_div(task.plan.cols, width));
  for (const SweepMode mode : {SweepMode::rows, SweepMode::columns})
    launch_sweep<G, Form, true>(runtime, task, slices, {mode, segments, width}, stream);
}

template <class G>
void launch_any_sweep(const Runtime& runtime, const Task& task, int64_t slices, Stream stream) {
  using Forms = SweepForms<G>;
  const int n = task.plan.cols;
  if (n <= Forms::narrow.most_columns()) return launch_whole<G, Forms::narrow>(runtime, task, slices, stream);
  if (runtime.limits().shared_per_block < kLargeShared)
    return launch_segments<G, Forms::narrow>(runtime, task, slices, stream);
  if (n <= Forms::middle.most_columns()) return launch_whole<G, Forms::middle>(runtime, task, slices, stream);
  if (n <= Forms::wide.most_columns()) return launch_whole<G, Forms::wide>(runtime, task, slices, stream);
  if (n <= Forms::wider.most_columns()) return launch_whole<G, Forms::wider>(runtime, task, slices, stream);
  if (n <= Forms::widest.most_columns()) return launch_whole<G, Forms::widest>(runtime, task, slices, stream);
  launch_segments<G, Forms::wide>(runtime, task, slices, stream);
}

void run_sweep(const Runtime& runtime, const Task& task, int64_t slices, Stream stream) {
  with_type(task.plan.gradient, [&]<class G>(G) { launch_any_sweep<G>(runtime, task, slices, stream); });
}

}  // namespace plumbline::PLUMBLINE_TARGET
