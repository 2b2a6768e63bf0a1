// Launches of the sweep in one pass.
#pragma once
#include "cuda/kernels/run.h"
#include "cuda/kernels/stream.cuh"
#include "cuda/kernels/sweep.cuh"

namespace plumbline::PLUMBLINE_TARGET {

void add_row_sweep(const Group& group, Average average, int64_t first_slice, std::vector<KernelLaunch>& launches);

template <class G, const SweepForm& Form>
KernelLaunch sweep_launch(const Group& group, int64_t first_slice) {
  return launch_over(group, "sweep", sweep<G, Form.columns, Form.rows, Form.stages, Form.threads, Form.keep>,
                     sweep_threads(group, Form), Form.ring_bytes(sizeof(G)), Average::moment, first_slice,
                     [&](const TensorPlan& plan, int) { return chunk_slices(plan, first_slice) * plan.strips; });
}

template <class G, const StreamForm& Form>
inline constexpr auto kStream = stream_sweep<G, Form.columns, Form.row_warps, Form.batch, Form.ring, Form.threads>;

// Whether a form of the sweep by roles takes these tensors: rows of whole vectors, neither short nor too wide for it.
template <class G, const StreamForm& Form>
bool streams(const Group& group) {
  bool fits = true;
  for (const int i : group.tensors) fits = fits && group.plans[size_t(i)].strip_rows <= Form.rows;
  return fits && rows_are_ranges<G>(group, Form.most_columns(), kStream<G, Form>);
}
template <class G, const StreamForm& Form>
KernelLaunch stream_launch(const Group& group, int64_t first_slice) {
  const int threads = int(core::ceil_div(core::ceil_div(most_columns(group), Form.columns), kWarp)) * kWarp;
  return launch_over(group, "sweep", kStream<G, Form>, threads + Form.other_threads(), size_t(Form.ring),
                     Average::moment, first_slice,
                     [&](const TensorPlan& plan, int) { return chunk_slices(plan, first_slice) * plan.strips; });
}

template <class G>
KernelLaunch any_sweep_launch(const Group& group, int64_t first_slice) {
  using Roles = StreamForms<G>;
  if (streams<G, Roles::narrow>(group)) return stream_launch<G, Roles::narrow>(group, first_slice);
  if (group.front().cols > Roles::narrow.most_columns() && streams<G, Roles::wide>(group))
    return stream_launch<G, Roles::wide>(group, first_slice);
  KernelLaunch launch;
  with_sweep_form<G>(group.front().cols,
                     [&]<const SweepForm & Form>() { launch = sweep_launch<G, Form>(group, first_slice); });
  return launch;
}

void add_sweep(const Group& group, int64_t first_slice, std::vector<KernelLaunch>& launches) {
  const TensorPlan& plan = group.front();
  const bool averages_gradient = plan.hyper.momentum && !plan.hyper.momentum_of_update;
  if (averages_gradient || plan.cols > sweep_columns(group.limits))
    return add_row_sweep(group, Average::moment, first_slice, launches);
  core::with_type(plan.gradient, [&]<class G>(G) { launches.push_back(any_sweep_launch<G>(group, first_slice)); });
}

}  // namespace plumbline::PLUMBLINE_TARGET
