// One step of a projected tensor: sums of the gradient, its projection, moments of that, one scale a channel.
#include <algorithm>
#include <atomic>

#include "cuda/core/projection.h"
#include "cuda/core/tree.h"
#include "cuda/twin/columns.h"
#include "cuda/twin/gradient.h"
#include "cuda/twin/momentum.h"
#include "cuda/twin/parameter.h"
#include "cuda/twin/project.h"
#include "cuda/twin/steps.h"

namespace plumbline::twin {
namespace {

using core::at;

struct Pass {
  const TensorPlan& t;
  const TensorPointers& p;
  const Arenas& arenas;
  Workers& workers;
  core::StepScalars& s;
  Gradient gradient = {p.gradient, t.gradient, s.multiplier};
  Parameter parameter = {t, p.parameter, uint32_t(s.step - 1)};
  double* parameter_sums = at<double>(arenas.scratch, t.parameter_sums);
  double* gradient_sums = at<double>(arenas.scratch, t.channel_sums);  // sum g^2 of a channel
  double* update_sums = gradient_sums + t.channels;                    // sum N^2
  double* low_sums = update_sums + t.channels;                         // sum G_low^2
  double* strips = at<double>(arenas.scratch, t.channel_strips);
  uint32_t* largest = at<uint32_t>(arenas.scratch, t.channel_largest);  // of a channel; columns: strip by strip first
  const float* low = at<float>(arenas.scratch, t.low_rank_gradient);
  float* update = at<float>(arenas.scratch, t.low_rank_update);  // N, before it what its numerator is
  float* scale = at<float>(arenas.scratch, t.channel_scale);

  int64_t low_size() const { return int64_t(t.low_rows) * t.low_cols; }
  const SlotPlan& slot(SlotKind kind) const { return t.slot[int(kind)]; }
};

// Rows of one strip: sums of g^2 and p^2, largest |g|, and elements under the non-finite policy.
void sweep_strip(const Pass& x, int64_t strip, Workspace& space) {
  const TensorPlan& t = x.t;
  int64_t nonfinite = 0;
  double* sums = x.strips + strip * t.cols;
  uint32_t* largest = x.largest + strip * t.cols;
  if (!t.reduces_columns) {
    std::fill_n(sums, t.cols, 0.0);
    std::fill_n(largest, t.cols, 0u);
  }
  const int64_t first = strip * t.strip_rows, last = std::min<int64_t>(first + t.strip_rows, t.rows);
  for (int64_t i = first; i < last; ++i) {
    const float* g = x.gradient.read(i * t.cols, t.cols, space.gradient.data());
    const int64_t found = count_nonfinite(g, t.cols);
    nonfinite += found;
    if (found > 0 && t.nonfinite == Nonfinite::zero)
      g = x.gradient.read_zeroed(i * t.cols, t.cols, space.gradient.data());
    if (t.reduces_columns) {
      x.gradient_sums[i] = tree_sum_squares(g, t.cols);
      x.largest[i] = largest_magnitude(g, 0, t.cols);
    } else {
      add_squares(g, sums, t.cols);
      raise_magnitudes(g, largest, t.cols);
    }
    if (x.s.reads_parameter) {
      const float* p = x.parameter.read(i * t.cols, t.cols, space.parameter.data());
      x.parameter_sums[i] = tree_sum_squares(p, t.cols);
    }
  }
  if (nonfinite > 0) std::atomic_ref(x.s.nonfinite) += nonfinite;
}

void sweep(const Pass& x) {
  const TensorPlan& t = x.t;
  x.workers.for_each(t.strips, [&](int64_t strip, Workspace& space) { sweep_strip(x, strip, space); });
  if (!t.reduces_columns) {
    column_trees(x.strips, t.strips, t.cols, x.workers, x.gradient_sums);
    for (int64_t strip = 1; strip < t.strips; ++strip)
      for (int64_t c = 0; c < t.cols; ++c) x.largest[c] = std::max(x.largest[c], x.largest[strip * t.cols + c]);
  }
  if (x.s.reads_parameter) x.s.parameter_sum = core::tree_in_place(x.parameter_sums, t.rows);
}

// What N divides: G_low, or its momentum.
void form_numerator(const Pass& x) {
  const TensorPlan& t = x.t;
  if (!t.hyper.momentum) {
    std::copy_n(x.low, x.low_size(), x.update);
    return;
  }
  const Momentum momentum(t, SlotKind::low_rank_momentum, x.arenas, x.s);
  x.workers.for_each(t.low_rows, [&](int64_t i, Workspace&) {
    momentum.update({0, i, 0, t.low_cols}, x.low + i * t.low_cols, x.update + i * t.low_cols);
  });
}

// (b q)^2 of `count` values of G_low's momentum from `first` on, row after row.
void resolve(const Momentum& momentum, int64_t first, int64_t count, float* squares) {
  const int64_t cols = momentum.slot.row;
  for (int64_t i = 0; i < count;) {
    const int64_t at = first + i, n = std::min(cols - at % cols, count - i);
    momentum.resolve({0, at / cols, at % cols, n}, squares + i);
    i += n;
  }
}

// N with a second moment of every element.
void normalize(const Pass& x) {
  const SlotPlan& slot = x.slot(SlotKind::low_rank_second_moment);
  const Momentum momentum(x.t, SlotKind::low_rank_momentum, x.arenas, x.s);
  constexpr int64_t kTile = 2048;
  x.workers.for_each(core::ceil_div(x.low_size(), kTile), [&](int64_t tile, Workspace&) {
    const SlotRange range = {0, 0, tile * kTile, std::min(kTile, x.low_size() - tile * kTile)};
    float v[kTile];
    decode_slot(slot, x.arenas.state, range, x.s.writes, v);
    float floor[kTile];
    const bool resolves = x.t.resolves_moment();
    if (resolves) resolve(momentum, range.first, range.count, floor);
    normalize_row(v, x.low + range.first, resolves ? floor : nullptr, x.s.weights, x.t.hyper.projection_eps,
                  x.update + range.first, range.count);
    encode_slot(slot, x.arenas.state, range, x.s.writes, v);
    if (x.t.low_rank_second_moment >= 0)
      copy_canonical(v, at<float>(x.arenas.scratch, x.t.low_rank_second_moment) + range.first, range.count);
  });
}

// R and C of G_low as they divide.
void resolve_factors(const Pass& x, const float* row, const float* col, float* row_used, float* col_used) {
  const TensorPlan& t = x.t;
  const Momentum momentum(t, SlotKind::low_rank_momentum, x.arenas, x.s);
  const int64_t m = t.low_rows, n = t.low_cols, blocks = momentum.slot.row_blocks;
  std::vector<float> of_blocks(size_t(m * blocks)), sums(static_cast<size_t>(blocks));
  x.workers.for_each(m, [&](int64_t i, Workspace& space) {
    float* squares = space.resolution.data();
    momentum.resolve({0, i, 0, n}, squares);
    for (int64_t b = 0; b < blocks; ++b) of_blocks[size_t(i * blocks + b)] = squares[b * momentum.slot.block];
    row_used[i] = core::used_row(row[i], tree_sum(squares, n), float(n));
  });
  column_trees(of_blocks.data(), m, blocks, x.workers, sums.data());
  for (int64_t j = 0; j < n; ++j) col_used[j] = core::used_col(col[j], sums[size_t(j / momentum.slot.block)], float(m));
}

// N with a factored one.
void normalize_factored(const Pass& x) {
  const TensorPlan& t = x.t;
  const int64_t m = t.low_rows, n = t.low_cols;
  float *row = at<float>(x.arenas.scratch, t.low_rank_row), *col = at<float>(x.arenas.scratch, t.low_rank_col);
  decode_slot(x.slot(SlotKind::low_rank_row), x.arenas.state, {0, 0, 0, m}, x.s.writes, row);
  decode_slot(x.slot(SlotKind::low_rank_col), x.arenas.state, {0, 0, 0, n}, x.s.writes, col);
  x.workers.for_each(m, [&](int64_t i, Workspace& space) {
    square_row(x.low + i * n, space.square.data(), n);
    row[i] = core::canonical(
        core::perturbed(core::PerturbedStage::low_rank_row,
                        core::average(row[i], tree_sum(space.square.data(), n), float(n), x.s.weights)));
  });
  average_columns(x.low, m, n, x.s.weights, x.workers, col);
  const auto inverse = float(core::inverse_root_mean(core::mean_row(tree_sum_double(row, m), int(m))));
  float* row_used = at<float>(x.arenas.scratch, t.low_rank_row_used);
  float* col_used = at<float>(x.arenas.scratch, t.low_rank_col_used);
  if (t.resolves_moment()) resolve_factors(x, row, col, row_used, col_used);
  x.workers.for_each(m, [&](int64_t i, Workspace&) {
    normalize_factored_row(row_used[i], col_used, inverse, t.hyper.projection_eps, x.update + i * n, n);
  });
  encode_slot(x.slot(SlotKind::low_rank_row), x.arenas.state, {0, 0, 0, m}, x.s.writes, row);
  encode_slot(x.slot(SlotKind::low_rank_col), x.arenas.state, {0, 0, 0, n}, x.s.writes, col);
}

// s of every channel, and sum u^2.
double scale_channels(const Pass& x) {
  const TensorPlan& t = x.t;
  if (t.reduces_columns) {
    x.workers.for_each(t.channels, [&](int64_t c, Workspace&) {
      x.update_sums[c] = tree_sum_squares(x.update + c * t.rank, t.rank);
      x.low_sums[c] = tree_sum_squares(x.low + c * t.rank, t.rank);
    });
  } else {
    column_square_trees(x.update, t.rank, t.channels, x.workers, x.update_sums);
    column_square_trees(x.low, t.rank, t.channels, x.workers, x.low_sums);
  }
  if (t.hyper.scale_by_tensor) {
    const double update = core::tree_in_place(x.update_sums, t.channels);
    x.scale[0] = core::canonical(
        core::perturbed(core::PerturbedStage::channel_scale,
                        float(core::channel_scale(update, core::tree_in_place(x.low_sums, t.channels)))));
  } else {
    for (int64_t c = 0; c < t.channels; ++c)
      x.scale[c] = core::canonical(core::perturbed(core::PerturbedStage::channel_scale,
                                                   float(core::channel_scale(x.update_sums[c], x.low_sums[c]))));
  }
  const int64_t stride = t.hyper.scale_by_tensor ? 0 : 1;
  for (int64_t c = 0; c < t.channels; ++c)
    x.update_sums[c] = core::channel_update_sum(x.scale[c * stride], x.gradient_sums[c]);
  return core::tree_in_place(x.update_sums, t.channels);
}

void apply(const Pass& x) {
  const TensorPlan& t = x.t;
  const bool zero =
      t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0 && !core::is_mutant(core::Mutant::zeroed_in_sums_only);
  // e of every channel
  float* step = at<float>(x.arenas.scratch, t.channel_step);
  const int64_t stride = t.hyper.scale_by_tensor ? 0 : 1;
  for (int64_t c = 0; c < t.channels; ++c) step[c] = float(core::channel_step(x.s.channel_step, x.scale[c * stride]));
  x.workers.for_each(t.rows, [&](int64_t i, Workspace& space) {
    const int64_t start = i * t.cols;
    const float* g = zero ? x.gradient.read_zeroed(start, t.cols, space.gradient.data())
                          : x.gradient.read(start, t.cols, space.gradient.data());
    float* p = x.parameter.open(start, t.cols, space.parameter.data());
    if (t.reduces_columns)
      update_full_row(p, g, step[i], x.s.keep, t.cols);
    else
      update_channels(p, g, step, x.s.keep, t.cols);
    x.parameter.close(start, {0, i, 0, t.cols}, p);
    if (t.hyper.carried) {
      const float* stored = core::is_mutant(core::Mutant::carried_unrounded)
                                ? p
                                : x.parameter.read(start, t.cols, space.parameter.data());
      x.parameter_sums[i] = tree_sum_squares(stored, t.cols);
    }
  });
}

}  // namespace

void step_projected(const TensorPlan& t, const TensorPointers& pointers, const Arenas& arenas, Workers& workers) {
  core::TensorClock& clock = *at<core::TensorClock>(arenas.state, t.clock);
  core::StepScalars& scalars = *at<core::StepScalars>(arenas.scratch, t.scalars);
  scalars = core::begin_step(t.hyper, clock, *at<double>(arenas.state, t.lr), *at<float>(arenas.state, t.multiplier));
  const Pass x{t, pointers, arenas, workers, scalars};
  sweep(x);
  if (t.nonfinite == Nonfinite::skip && scalars.nonfinite > 0) {
    scalars.skipped = 1;
    return;
  }
  project(t, x.gradient, scalars.step, arenas, workers);
  form_numerator(x);
  if (t.hyper.projection_factored)
    normalize_factored(x);
  else
    normalize(x);
  double update_sum = scale_channels(x);
  if (t.hyper.scale_first) update_sum = update_sum * t.hyper.projection_scale;
  core::finish_step(t.hyper, t.size, update_sum, false, scalars);
  apply(x);
  core::commit_step(t.hyper, scalars, clock);
  if (t.hyper.carried) core::carry_norm(clock, core::tree_in_place(x.parameter_sums, t.rows));
}

}  // namespace plumbline::twin
