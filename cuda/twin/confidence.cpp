#include <algorithm>

#include "cuda/core/momentum.h"
#include "cuda/core/tree.h"
#include "cuda/twin/factored.h"

namespace plumbline::twin {
namespace {

void confidence_strip(const FactoredPass& x, const FactoredAverage& average, int64_t slice, int64_t strip,
                      const StripSums& sums, Workspace& space) {
  const TensorPlan& t = x.t;
  const float *u = space.update.data(), *m = space.momentum.data();
  float* s = space.square.data();
  const int64_t first = strip * t.strip_rows, last = std::min<int64_t>(first + t.strip_rows, t.rows);
  for (int64_t i = first; i < last; ++i) {
    average_update(x, slice, i, space);
    residual_row(u, m, s, t.cols);
    float& row = average.row[slice * t.rows + i];
    const auto count = float(core::is_mutant(core::Mutant::padded_count) ? t.pitch : t.cols);
    row = core::canonical(core::perturbed(core::PerturbedStage::confidence_row,
                                          core::average(row, tree_sum(s, t.cols), count, average.weights)));
    accumulate_row(s, m, resolve_row(x, average, slice, i, sums, space), sums.c, sums.w, t.cols);
  }
}

}  // namespace

void average_update(const FactoredPass& x, int64_t slice, int64_t row, Workspace& space) {
  const FactoredAverage moment = x.moment();
  const float* g = x.final_gradient(slice, row, space.gradient.data());
  const auto k = float(core::clipped_coefficient(x.slice_mean[slice], x.s.clip));
  clipped_update_row(g, core::row_scale(k, moment.row[slice * x.t.rows + row]), moment.scale + slice * x.t.pitch,
                     space.update.data(), x.t.cols);
  x.momentum.update(x.place(slice, row), space.update.data(), space.momentum.data());
}

void sweep_confidence(const FactoredPass& x) { sweep_average(x, x.confidence(), confidence_strip); }

void sweep_momentum(const FactoredPass& x) {
  const TensorPlan& t = x.t;
  double* sums = core::at<double>(x.arenas.scratch, t.momentum_sums);
  x.workers.for_each(t.slices * t.strips, [&](int64_t item, Workspace& space) {
    const int64_t slice = item / t.strips, first = item % t.strips * t.strip_rows;
    for (int64_t i = first; i < std::min<int64_t>(first + t.strip_rows, t.rows); ++i) {
      average_update(x, slice, i, space);
      sums[slice * t.rows + i] = tree_sum_squares(space.momentum.data(), t.cols);
    }
  });
  x.workers.for_each(
      t.slices, [&](int64_t k, Workspace&) { x.slice_momentum[k] = core::tree_in_place(sums + k * t.rows, t.rows); });
}

}  // namespace plumbline::twin
