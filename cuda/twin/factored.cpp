#include <algorithm>
#include <atomic>

#include "cuda/core/tree.h"
#include "cuda/state/slots.h"
#include "cuda/twin/rows.h"
#include "cuda/twin/steps.h"

namespace plumbline::twin {
namespace {

using core::at;

// One step's view of the tensor: pointers into the arenas.
struct Pass {
  const TensorPlan& t;
  const TensorPointers& p;
  const Arenas& arenas;
  Workers& workers;
  core::StepScalars& s;
  float* row = at<float>(arenas.scratch, t.row);
  float* col = at<float>(arenas.scratch, t.col);
  float* scale = at<float>(arenas.scratch, t.col_scale);
  float* partial_col = at<float>(arenas.scratch, t.partial_col);
  float* partial_weighted = at<float>(arenas.scratch, t.partial_weighted);
  double* parameter_sums = at<double>(arenas.scratch, t.parameter_sums);
  double* norm_tiles = at<double>(arenas.scratch, t.norm_tiles);
  double* slice_mean = at<double>(arenas.scratch, t.slice_sums);
  double* slice_update = slice_mean + t.slices;
  double* slice_parameter = slice_update + t.slices;
};

// Columns per item of the column pass: whole tiles of norm_tiles.
constexpr int64_t kColumns = 16 * core::kColumnTile;

// Rows of one strip: R_i, and the strip's partial sums of the columns. Returns the count of non-finite elements.
int64_t sweep_strip(const Pass& x, int64_t slice, int64_t strip, float* c, float* w, Workspace& space) {
  const TensorPlan& t = x.t;
  const int64_t first = strip * t.strip_rows, last = std::min<int64_t>(first + t.strip_rows, t.rows);
  float* s = space.square.data();
  int64_t nonfinite = 0;
  std::fill_n(c, t.cols, 0.0f);
  std::fill_n(w, t.cols, 0.0f);
  for (int64_t i = slice * t.rows + first; i < slice * t.rows + last; ++i) {
    const float* g = widen_row(x.p.gradient, t.gradient, i * t.cols, t.cols, space.gradient.data());
    square_row(g, s, t.cols);
    float sum = tree_sum(s, t.cols);
    if (!(sum < core::kSquareLimit)) {  // else no element can be under the policy
      nonfinite += count_nonfinite(g, t.cols);
      if (t.nonfinite == Nonfinite::zero) {
        zero_nonfinite(g, space.gradient.data(), t.cols);
        square_row(space.gradient.data(), s, t.cols);
        sum = tree_sum(s, t.cols);
      }
    }
    x.row[i] = core::canonical(core::average(x.row[i], sum, float(t.cols), x.s.weights));
    accumulate_row(s, core::inverse_row(x.row[i]), c, w, t.cols);
    if (x.s.reads_parameter) {
      const float* p = widen_row(x.p.parameter, t.parameter, i * t.cols, t.cols, space.parameter.data());
      x.parameter_sums[i] = tree_sum_squares(p, t.cols);
    }
  }
  return nonfinite;
}

// Columns [first, first + n) of a slice: T over strips, C_j, b_j, and the norm's terms summed per tile.
void finish_range(const Pass& x, int64_t slice, int64_t first, int64_t n, float* c, float* w) {
  const TensorPlan& t = x.t;
  for (int64_t d = 1; d < t.strips; d *= 2) {
    for (int64_t k = 0; k + d < t.strips; k += 2 * d) {
      const int64_t left = k * t.pitch + first, right = (k + d) * t.pitch + first;
      add_rows(c + left, c + right, w + left, w + right, n);
    }
  }
  double q[kColumns];
  float* col = x.col + slice * t.cols + first;
  finish_columns(c + first, w + first, float(t.rows), x.s.weights, col, q, x.scale + slice * t.pitch + first, n);
  double* sums = x.norm_tiles + slice * t.column_tiles + first / core::kColumnTile;
  for (int64_t j = 0; j < n; j += core::kColumnTile) {
    *sums++ = core::tree_in_place(q + j, std::min<int64_t>(core::kColumnTile, n - j));
  }
}

void sweep(Pass& x) {
  const TensorPlan& t = x.t;
  std::atomic<int64_t> nonfinite = 0;
  const int64_t ranges = core::ceil_div(t.cols, kColumns);
  for (int64_t base = 0; base < t.slices; base += t.chunk) {
    const int64_t slices = std::min(t.chunk, t.slices - base);
    x.workers.for_each(slices * t.strips, [&](int64_t item, Workspace& space) {
      const int64_t at_partial = item * t.pitch;
      nonfinite += sweep_strip(x, base + item / t.strips, item % t.strips, x.partial_col + at_partial,
                               x.partial_weighted + at_partial, space);
    });
    x.workers.for_each(slices * ranges, [&](int64_t item, Workspace&) {
      const int64_t slice = item / ranges, first = item % ranges * kColumns;
      const int64_t at_partial = slice * t.strips * t.pitch;
      finish_range(x, base + slice, first, std::min(kColumns, t.cols - first), x.partial_col + at_partial,
                   x.partial_weighted + at_partial);
    });
  }
  x.s.nonfinite = nonfinite;
}

void finish(Pass& x) {
  const TensorPlan& t = x.t;
  x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    x.slice_mean[k] = core::mean_row(tree_sum_double(x.row + k * t.rows, t.rows), t.rows);
    const double norm = core::tree_in_place(x.norm_tiles + k * t.column_tiles, t.column_tiles);
    x.slice_update[k] = core::slice_update_sum(x.slice_mean[k], norm);
    if (x.s.reads_parameter) x.slice_parameter[k] = core::tree_in_place(x.parameter_sums + k * t.rows, t.rows);
  });
  if (x.s.reads_parameter) x.s.parameter_sum = core::tree_in_place(x.slice_parameter, t.slices);
  const double update_sum = core::tree_in_place(x.slice_update, t.slices);
  core::finish_step(t.hyper, t.size, update_sum, t.nonfinite == Nonfinite::skip, x.s);
}

void apply(Pass& x) {
  const TensorPlan& t = x.t;
  const bool zero = t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0;
  x.workers.for_each(t.slices * t.strips, [&](int64_t item, Workspace& space) {
    const int64_t slice = item / t.strips, first = item % t.strips * t.strip_rows;
    const int64_t last = std::min<int64_t>(first + t.strip_rows, t.rows);
    const float k = float(core::step_coefficient(x.s.applied, x.slice_mean[slice]));
    for (int64_t i = slice * t.rows + first; i < slice * t.rows + last; ++i) {
      const float* g = widen_row(x.p.gradient, t.gradient, i * t.cols, t.cols, space.gradient.data());
      if (zero) {
        zero_nonfinite(g, space.square.data(), t.cols);
        g = space.square.data();
      }
      float* p = open_row(x.p.parameter, t.parameter, i * t.cols, t.cols, space.parameter.data());
      update_row(p, g, x.scale + slice * t.pitch, core::row_scale(k, x.row[i]), x.s.keep, t.cols);
      close_row(x.p.parameter, t.parameter, i * t.cols, t.cols, p);
      if (t.hyper.carried) {
        const float* stored = widen_row(x.p.parameter, t.parameter, i * t.cols, t.cols, space.parameter.data());
        x.parameter_sums[i] = tree_sum_squares(stored, t.cols);
      }
    }
  });
  x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    encode_slot(t.slot[int(SlotKind::row)], x.arenas.state, {k, 0, 0, t.rows}, x.s.writes, x.row + k * t.rows);
    encode_slot(t.slot[int(SlotKind::col)], x.arenas.state, {k, 0, 0, t.cols}, x.s.writes, x.col + k * t.cols);
    if (t.hyper.carried) x.slice_parameter[k] = core::tree_in_place(x.parameter_sums + k * t.rows, t.rows);
  });
}

}  // namespace

void step_factored(const TensorPlan& t, const TensorPointers& pointers, const Arenas& arenas, Workers& workers) {
  core::TensorClock& clock = *at<core::TensorClock>(arenas.state, t.clock);
  core::StepScalars& scalars = *at<core::StepScalars>(arenas.scratch, t.scalars);
  scalars = core::begin_step(t.hyper, clock, *at<double>(arenas.state, t.lr), *at<float>(arenas.state, t.multiplier));
  Pass x{t, pointers, arenas, workers, scalars};
  workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    decode_slot(t.slot[int(SlotKind::row)], arenas.state, {k, 0, 0, t.rows}, x.s.writes, x.row + k * t.rows);
    decode_slot(t.slot[int(SlotKind::col)], arenas.state, {k, 0, 0, t.cols}, x.s.writes, x.col + k * t.cols);
  });
  sweep(x);
  finish(x);
  if (scalars.skipped) return;
  apply(x);
  core::commit_step(t.hyper, scalars, clock);
  if (t.hyper.carried) clock.parameter_sum = core::tree_in_place(x.slice_parameter, t.slices);
}

}  // namespace plumbline::twin
