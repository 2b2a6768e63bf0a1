#include "cuda/twin/factored.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <numeric>
#include <vector>

#include "cuda/core/tree.h"

namespace plumbline::twin {
namespace {

using core::at;
using core::is_mutant;
using core::Mutant;
using core::PerturbedStage;

// Columns per item of the column pass: whole tiles of norm_tiles.
constexpr int64_t kColumns = 16 * core::kColumnTile;

// The same tree over the squares from the last to the first: for mutants.
float backwards_sum(const float* s, int64_t n) {
  const std::vector<float> reversed(std::make_reverse_iterator(s + n), std::make_reverse_iterator(s));
  return tree_sum(reversed.data(), n);
}

// R_i, and the strip's partial sums of the columns; with momentum of the gradient that is written, too.
void moment_strip(const FactoredPass& x, const FactoredAverage& average, int64_t slice, int64_t strip,
                  const StripSums& sums, Workspace& space) {
  const TensorPlan& t = x.t;
  const bool momentum = t.hyper.momentum && !t.hyper.momentum_of_update;
  float* s = space.square.data();
  int64_t nonfinite = 0;
  const int64_t first = strip * t.strip_rows, last = std::min<int64_t>(first + t.strip_rows, t.rows);
  for (int64_t i = first; i < last; ++i) {
    const float* g = x.gradient.read(x.element(slice, i), t.cols, space.gradient.data());
    square_row(g, s, t.cols);
    float sum = tree_sum(s, t.cols);
    if (!(sum < core::kSquareLimit)) {  // else no element can be under the policy
      nonfinite += count_nonfinite(g, t.cols);
      if (t.nonfinite == Nonfinite::zero) {
        zero_nonfinite(g, space.gradient.data(), t.cols);
        g = space.gradient.data();
        square_row(g, s, t.cols);
        sum = tree_sum(s, t.cols);
      }
    }
    const int64_t at_row = slice * t.rows + i;
    if ((is_mutant(Mutant::odd_rows_backwards) && i % 2 != 0) ||
        (is_mutant(Mutant::later_slices_backwards) && slice > 0))
      sum = backwards_sum(s, t.cols);
    if (is_mutant(Mutant::lost_tail) && t.cols > 8) sum = tree_sum(s, t.cols & ~7);
    const auto count = float(is_mutant(Mutant::padded_count) ? t.pitch : t.cols);
    average.row[at_row] = core::canonical(
        core::perturbed(PerturbedStage::row, core::average(average.row[at_row], sum, count, average.weights)));
    if (momentum) x.momentum.update(x.place(slice, i), g, space.momentum.data());
    const float inverse = resolve_row(x, average, slice, i, sums, space);
    if (momentum && !is_mutant(Mutant::clip_before_momentum))
      accumulate_row(s, space.momentum.data(), inverse, sums.c, sums.w, t.cols);
    else
      accumulate_row(s, inverse, sums.c, sums.w, t.cols);
    if (x.s.reads_parameter) {
      const float* p = x.parameter.read(x.element(slice, i), t.cols, space.parameter.data());
      x.parameter_sums[at_row] = tree_sum_squares(p, t.cols);
    }
  }
  if (nonfinite > 0) std::atomic_ref(x.s.nonfinite) += nonfinite;
}

// Columns [first, first + n) of a slice: T over strips, C_j, b_j, and the norm's terms summed per tile.
void finish_range(const FactoredPass& x, const FactoredAverage& average, int64_t slice, int64_t first, int64_t n,
                  const StripSums& sums) {
  const TensorPlan& t = x.t;
  const int64_t strips = is_mutant(Mutant::lost_strip) && t.strips > 1 ? t.strips - 1 : t.strips;
  for (int64_t d = 1; d < strips; d *= 2) {
    for (int64_t k = 0; k + d < strips; k += 2 * d) {
      const int64_t left = k * t.pitch + first, right = (k + d) * t.pitch + first;
      add_rows(sums.c + left, sums.c + right, sums.w + left, sums.w + right, n);
      if (average.resolves) add_row(sums.r + left / 8, sums.r + right / 8, core::ceil_div(n, 8));
    }
  }
  double q[kColumns];
  const bool confidence = average.col != x.moment().col;
  finish_columns(sums.c + first, sums.w + first, average.resolves ? sums.r + first / 8 : nullptr,
                 float(is_mutant(Mutant::columns_counted_wrong) ? t.cols : t.rows), average.weights,
                 confidence ? PerturbedStage::confidence_col : PerturbedStage::col,
                 average.col + slice * t.cols + first, q, average.scale + slice * t.pitch + first, n);
  double* tiles = x.norm_tiles + slice * t.column_tiles + first / core::kColumnTile;
  for (int64_t j = 0; j < n; j += core::kColumnTile) {
    *tiles++ = core::tree_in_place(q + j, std::min<int64_t>(core::kColumnTile, n - j));
  }
}

// Whether an element falls under the policy: what momentum of the gradient has to know before it is written.
bool is_skipped(const FactoredPass& x) {
  const TensorPlan& t = x.t;
  if (t.nonfinite != Nonfinite::skip || !t.hyper.momentum || t.hyper.momentum_of_update) return false;
  x.workers.for_each(t.slices * t.rows, [&](int64_t i, Workspace& space) {
    const int64_t found = count_nonfinite(x.gradient.read(i * t.cols, t.cols, space.gradient.data()), t.cols);
    if (found > 0) std::atomic_ref(x.s.nonfinite) += found;
  });
  return x.s.nonfinite > 0;
}

void finish(const FactoredPass& x) {
  const TensorPlan& t = x.t;
  if (x.s.reads_parameter) {
    x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
      x.slice_parameter[k] = core::tree_in_place(x.parameter_sums + k * t.rows, t.rows);
    });
    x.s.parameter_sum = core::tree_in_place(x.slice_parameter, t.slices);
  }
  const double update_sum = core::tree_in_place(x.slice_update, t.slices);
  core::finish_step(t.hyper, t.size, update_sum, t.nonfinite == Nonfinite::skip, x.s);
}

// Where the update is the momentum of itself.
void finish_momentum(const FactoredPass& x) {
  if (x.t.hyper.has_confidence)
    sweep_confidence(x);
  else if (x.t.hyper.limiter)
    sweep_momentum(x);
  if (core::limits_later(x.t.hyper))
    core::finish_limit(x.t.hyper, core::sqrt(core::tree_in_place(x.slice_momentum, x.t.slices)), x.s);
}

void apply(const FactoredPass& x) {
  const TensorPlan& t = x.t;
  const core::Hyper& h = t.hyper;
  const bool plain = h.momentum_of_update && !h.has_confidence;  // the update is M itself
  const FactoredAverage average =
      h.has_confidence && !is_mutant(Mutant::confidence_unused) ? x.confidence() : x.moment();
  x.workers.for_each(t.slices * t.strips, [&](int64_t item, Workspace& space) {
    const int64_t slice = item / t.strips, first = item % t.strips * t.strip_rows;
    const int64_t last = std::min<int64_t>(first + t.strip_rows, t.rows);
    const float k =
        float(core::step_coefficient(x.s.applied, average.mean[is_mutant(Mutant::slices_share_mean) ? 0 : slice]));
    for (int64_t i = first; i < last; ++i) {
      const float* v = space.momentum.data();
      if (!h.momentum) {
        v = x.final_gradient(slice, i, space.gradient.data());
      } else if (plain && !h.limiter) {
        average_update(x, slice, i, space);
      } else {
        x.momentum.read(x.place(slice, i), space.momentum.data());
      }
      float* p = x.parameter.open(x.element(slice, i), t.cols, space.parameter.data());
      if (plain) {
        update_full_row(p, v, x.s.full_step, x.s.keep, t.cols);
      } else {
        const int64_t beside = is_mutant(Mutant::neighbour_row) && i + 1 < t.rows ? i + 1 : i;
        const float a = core::row_scale(k, average.row_used[slice * t.rows + beside]);
        const float* b = average.scale + slice * t.pitch + (is_mutant(Mutant::neighbour_column) ? 1 : 0);
        if (is_mutant(Mutant::zeroed_in_other_order) && t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0)
          for (int64_t j = 0; j < t.cols; ++j) p[j] = core::fma(-(a * v[j]), b[j], p[j] * x.s.keep);
        else
          update_row(p, v, b, a, x.s.keep, t.cols);
      }
      x.parameter.close(x.element(slice, i), x.place(slice, i), p);
      if (h.carried) {
        const float* stored = is_mutant(Mutant::carried_unrounded)
                                  ? p
                                  : x.parameter.read(x.element(slice, i), t.cols, space.parameter.data());
        x.parameter_sums[slice * t.rows + i] = tree_sum_squares(stored, t.cols);
      }
    }
  });
  if (!h.carried) return;
  x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    double* const rows = x.parameter_sums + k * t.rows;
    if (is_mutant(Mutant::carried_in_plain_order))
      x.slice_parameter[k] = std::accumulate(rows, rows + t.rows, 0.0);
    else
      x.slice_parameter[k] = core::tree_in_place(rows, t.rows);
  });
}

// The averages that a step starts from and leaves behind: code(slot, range, values) of each slice.
template <class Code>
void visit_averages(const FactoredPass& x, Code code) {
  const TensorPlan& t = x.t;
  x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    const auto visit = [&](SlotKind row, SlotKind col, const FactoredAverage& average) {
      code(t.slot[int(row)], SlotRange{k, 0, 0, t.rows}, average.row + k * t.rows);
      code(t.slot[int(col)], SlotRange{k, 0, 0, t.cols}, average.col + k * t.cols);
    };
    visit(SlotKind::row, SlotKind::col, x.moment());
    if (t.hyper.has_confidence) visit(SlotKind::confidence_row, SlotKind::confidence_col, x.confidence());
  });
}

}  // namespace

float resolve_row(const FactoredPass& x, const FactoredAverage& average, int64_t slice, int64_t row,
                  const StripSums& sums, Workspace& space) {
  const TensorPlan& t = x.t;
  const int64_t at = slice * t.rows + row;
  if (!average.resolves) return core::inverse_row(average.row[at]);
  float* squares = space.resolution.data();
  x.momentum.resolve(x.place(slice, row), squares);
  add_eighths(sums.r, squares, core::ceil_div(t.cols, 8));
  average.row_used[at] = core::used_row(average.row[at], tree_sum(squares, t.cols), float(t.cols));
  return core::inverse_row(average.row_used[at]);
}

void sweep_average(const FactoredPass& x, const FactoredAverage& average, StripSweep strip) {
  const TensorPlan& t = x.t;
  const int64_t ranges = core::ceil_div(t.cols, kColumns);
  const auto sums_of = [&](int64_t strip_of_chunk) {
    const int64_t at = strip_of_chunk * t.pitch;
    return StripSums{x.partial_col + at, x.partial_weighted + at, x.partial_resolution + at / 8};
  };
  for (int64_t base = 0; base < t.slices; base += t.chunk) {
    const int64_t slices = std::min(t.chunk, t.slices - base);
    x.workers.for_each(slices * t.strips, [&](int64_t item, Workspace& space) {
      const StripSums sums = sums_of(item);
      std::fill_n(sums.c, t.cols, 0.0f);
      std::fill_n(sums.w, t.cols, 0.0f);
      if (average.resolves) std::fill_n(sums.r, core::ceil_div(t.cols, 8), 0.0f);
      strip(x, average, base + item / t.strips, item % t.strips, sums, space);
    });
    x.workers.for_each(slices * ranges, [&](int64_t item, Workspace&) {
      const int64_t slice = item / ranges, first = item % ranges * kColumns;
      finish_range(x, average, base + slice, first, std::min(kColumns, t.cols - first), sums_of(slice * t.strips));
    });
  }
  x.workers.for_each(t.slices, [&](int64_t k, Workspace&) {
    average.mean[k] = core::mean_row(tree_sum_double(average.row + k * t.rows, t.rows), t.rows);
    const double norm = core::tree_in_place(x.norm_tiles + k * t.column_tiles, t.column_tiles);
    average.norm[k] = core::slice_update_sum(average.mean[k], norm);
  });
}

void step_factored(const TensorPlan& t, const TensorPointers& pointers, const Arenas& arenas, Workers& workers) {
  core::TensorClock& clock = *at<core::TensorClock>(arenas.state, t.clock);
  core::StepScalars& scalars = *at<core::StepScalars>(arenas.scratch, t.scalars);
  scalars = core::begin_step(t.hyper, clock, *at<double>(arenas.state, t.lr), *at<float>(arenas.state, t.multiplier));
  FactoredPass x{t, pointers, arenas, workers, scalars};
  if (is_skipped(x)) {
    scalars.skipped = 1;
    return;
  }
  visit_averages(x, [&](const SlotPlan& slot, const SlotRange& range, float* values) {
    decode_slot(slot, arenas.state, range, scalars.writes, values);
  });
  sweep_average(x, x.moment(), moment_strip);
  finish(x);
  if (scalars.skipped) return;
  if (t.hyper.momentum_of_update) finish_momentum(x);
  apply(x);
  visit_averages(x, [&](const SlotPlan& slot, const SlotRange& range, const float* values) {
    encode_slot(slot, arenas.state, range, scalars.writes, values);
  });
  core::commit_step(t.hyper, scalars, clock);
  if (t.hyper.carried) core::carry_norm(clock, core::tree_in_place(x.slice_parameter, t.slices));
}

}  // namespace plumbline::twin
