// Sums of squares of parameters, in panels of kPanel columns: T over columns within a row, double.
#pragma once
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/task.h"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// sum of p^2 over one panel of one row, by a warp.
template <class P>
PLUMBLINE_DEVICE double panel_sum(const P* row, int cols, int panel) {
  constexpr int E = kVector<P>, kVectors = core::kPanel / (kWarp * E);
  const int lane = thread_index() % kWarp, first = panel * core::kPanel + lane * E;
  Packed<P, E> p[kVectors];
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int col = first + v * kWarp * E;
    p[v] = load_elements<P, E>(row + col, cols - col, cols % E == 0);
  }
  double sums[kVectors];
  PLUMBLINE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const auto x = unpack<P, E>(p[v]);
    double s[E];
    PLUMBLINE_UNROLL
    for (int e = 0; e < E; ++e) s[e] = core::norm_square(core::widen(x.x[e]));
    sums[v] = thread_tree(s);
  }
  if (cols - panel * core::kPanel <= kWarp * E) return warp_tree(sums[0]);
  return tree_over_numbers<kVectors>(warp_trees(sums, lane));
}

// Panels first, first + step, ... of a slice's rows x panels, one per warp at a time.
template <class P>
PLUMBLINE_DEVICE void panel_sums(const Task& task, int64_t slice, int64_t first, int64_t step) {
  const TensorPlan& plan = task.plan;
  const P* const parameter = static_cast<const P*>(task.parameter) + slice * plan.slice;
  const int64_t count = int64_t(plan.rows) * plan.panels;
  double* const sums = scratch_at<double>(task, plan.parameter_sums) + slice * count;
  for (int64_t i = first; i < count; i += step) {
    const double sum = panel_sum(parameter + i / plan.panels * plan.cols, plan.cols, int(i % plan.panels));
    if (thread_index() % kWarp == 0) sums[i] = sum;
  }
}
PLUMBLINE_DEVICE void panel_sums_of_any_type(const Task& task, int64_t slice, int64_t first, int64_t step) {
  switch (task.plan.parameter) {
    case Type::float32:
      return panel_sums<float>(task, slice, first, step);
    case Type::bfloat16:
      return panel_sums<core::bf16>(task, slice, first, step);
    case Type::float16:
      return panel_sums<core::f16>(task, slice, first, step);
  }
}

// Where panel sums stand in T over columns, then rows, then slices: `rows` rows of `panels`, both padded to powers of
// two.
struct PanelTree {
  int panel_bits, row_bits;
  PLUMBLINE_DEVICE explicit PanelTree(const TensorPlan& plan)
      : panel_bits(core::tree_height(plan.panels)), row_bits(core::tree_height(plan.rows)) {}
  PLUMBLINE_DEVICE int64_t padded(int64_t slices) const { return slices << (panel_bits + row_bits); }
  // The panel sum at a padded position, 0 where there is none.
  PLUMBLINE_DEVICE double load(const TensorPlan& plan, const double* sums, int64_t at) const {
    const int64_t panel = at & ((int64_t(1) << panel_bits) - 1),
                  row = at >> panel_bits & ((int64_t(1) << row_bits) - 1);
    const int64_t slice = at >> (panel_bits + row_bits);
    if (panel >= plan.panels || row >= plan.rows) return 0.0;
    return load_fresh(sums + (slice * plan.rows + row) * plan.panels + panel);
  }
};

// Before the first step, and before every step when nothing is carried: panel sums of the whole tensor.
inline constexpr int kNormThreads = 256;
PLUMBLINE_KERNEL(kNormThreads, 4)
parameter_norm(const Task task) {
  const TensorPlan& plan = task.plan;
  const int warps = kNormThreads / kWarp;
  const int64_t count = int64_t(plan.rows) * plan.panels, step = int64_t(grid_size()) * warps;
  const int64_t warp = int64_t(block_index()) * warps + thread_index() / kWarp;
  for (int64_t slice = 0; slice < plan.slices; ++slice) {
    // carry the round robin over slices, so that small ones spread over all warps too
    const int64_t start = (warp + step - slice * count % step) % step;
    panel_sums_of_any_type(task, slice, start, step);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
