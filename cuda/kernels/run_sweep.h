// Launches of the sweep in one pass.
#pragma once
#include "cuda/kernels/run.h"
#include "cuda/kernels/sweep.cuh"

namespace plumbline::PLUMBLINE_TARGET {

void add_row_sweep(const Group& group, Average average, int64_t first_slice, std::vector<KernelLaunch>& launches);

template <class G, const SweepForm& Form>
KernelLaunch sweep_launch(const Group& group, int64_t first_slice) {
  int cols = 1;
  for (const int i : group.tensors) cols = std::max(cols, group.plans[size_t(i)].cols);
  const int threads = int(core::ceil_div(core::ceil_div(cols, Form.columns), kWarp)) * kWarp;
  return launch_over(group, "sweep", sweep<G, Form.columns, Form.rows, Form.stages, Form.threads, Form.keep>, threads,
                     Form.ring_bytes(sizeof(G)), Average::moment, first_slice,
                     [&](const TensorPlan& plan, int) { return chunk_slices(plan, first_slice) * plan.strips; });
}

template <class G>
KernelLaunch any_sweep_launch(const Group& group, int64_t first_slice) {
  using Forms = SweepForms<G>;
  const int n = group.front().cols;
  if (n <= Forms::narrow.most_columns()) return sweep_launch<G, Forms::narrow>(group, first_slice);
  if (n <= Forms::middle.most_columns()) return sweep_launch<G, Forms::middle>(group, first_slice);
  if (n <= Forms::wide.most_columns()) return sweep_launch<G, Forms::wide>(group, first_slice);
  if (n <= Forms::wider.most_columns()) return sweep_launch<G, Forms::wider>(group, first_slice);
  return sweep_launch<G, Forms::widest>(group, first_slice);
}

void add_sweep(const Group& group, int64_t first_slice, std::vector<KernelLaunch>& launches) {
  const TensorPlan& plan = group.front();
  const bool averages_gradient = plan.hyper.momentum && !plan.hyper.momentum_of_update;
  const int most = group.limits.shared_per_block < kLargeShared ? kNarrowColumns : kWidestColumns;
  if (averages_gradient || plan.cols > most) return add_row_sweep(group, Average::moment, first_slice, launches);
  core::with_type(plan.gradient, [&]<class G>(G) { launches.push_back(any_sweep_launch<G>(group, first_slice)); });
}

}  // namespace plumbline::PLUMBLINE_TARGET
