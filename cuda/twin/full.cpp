#include <algorithm>
#include <atomic>

#include "cuda/core/tree.h"
#include "cuda/state/slots.h"
#include "cuda/twin/rows.h"
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
  double* update_sums = at<double>(arenas.scratch, t.update_sums);
  double* parameter_sums = at<double>(arenas.scratch, t.parameter_sums);
  double* slice_update = at<double>(arenas.scratch, t.slice_sums) + t.slices;
  double* slice_parameter = slice_update + t.slices;
};

// One tile: elements of one slice, whole blocks of its codec.
struct Tile {
  int64_t slice, first, count;
  Tile(const TensorPlan& t, int64_t item)
      : slice(item / t.flat_tiles),
        first(item % t.flat_tiles * core::kFlatTile),
        count(std::min<int64_t>(core::kFlatTile, t.slice - first)) {}
};

// V of this step, in v, and u = g / sqrt(V), from the gradient as the statistics see it.
void precondition(const Pass& x, const Tile& tile, bool zero, float* v, float* u, Workspace& space) {
  const float* g =
      widen_row(x.p.gradient, x.t.gradient, tile.slice * x.t.slice + tile.first, tile.count, space.gradient.data());
  if (zero) {
    zero_nonfinite(g, space.gradient.data(), tile.count);
    g = space.gradient.data();
  }
  decode_slot(x.t.slot[int(SlotKind::second_moment)], x.arenas.state, {tile.slice, 0, tile.first, tile.count},
              x.s.writes, v);
  precondition_row(v, g, x.s.weights, u, tile.count);
}

int64_t count_tile(const Pass& x, const Tile& tile, Workspace& space) {
  const int64_t start = tile.slice * x.t.slice + tile.first;
  return count_nonfinite(widen_row(x.p.gradient, x.t.gradient, start, tile.count, space.gradient.data()), tile.count);
}

void sweep(Pass& x) {
  std::atomic<int64_t> nonfinite = 0;
  x.workers.for_each(x.t.slices * x.t.flat_tiles, [&](int64_t item, Workspace& space) {
    const Tile tile(x.t, item);
    float v[core::kFlatTile], *u = space.square.data();
    const int64_t count = count_tile(x, tile, space);
    nonfinite += count;
    precondition(x, tile, x.t.nonfinite == Nonfinite::zero && count > 0, v, u, space);
    x.update_sums[item] = tree_sum_squares(u, tile.count);
    if (x.s.reads_parameter) {
      const int64_t start = tile.slice * x.t.slice + tile.first;
      const float* p = widen_row(x.p.parameter, x.t.parameter, start, tile.count, space.parameter.data());
      x.parameter_sums[item] = tree_sum_squares(p, tile.count);
    }
  });
  x.s.nonfinite = nonfinite;
}

// Tile sums to the tensor's: T over tiles, then over slices.
double total(const TensorPlan& t, double* tiles, double* slices) {
  for (int64_t k = 0; k < t.slices; ++k) slices[k] = core::tree_in_place(tiles + k * t.flat_tiles, t.flat_tiles);
  return core::tree_in_place(slices, t.slices);
}

void apply(Pass& x) {
  const TensorPlan& t = x.t;
  const bool zero = t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0;
  x.workers.for_each(t.slices * t.flat_tiles, [&](int64_t item, Workspace& space) {
    const Tile tile(t, item);
    const int64_t start = tile.slice * t.slice + tile.first;
    float v[core::kFlatTile], *u = space.square.data();
    precondition(x, tile, zero, v, u, space);
    float* p = open_row(x.p.parameter, t.parameter, start, tile.count, space.parameter.data());
    update_full_row(p, u, x.s.full_step, x.s.keep, tile.count);
    close_row(x.p.parameter, t.parameter, start, tile.count, p);
    if (t.hyper.carried) {
      const float* stored = widen_row(x.p.parameter, t.parameter, start, tile.count, space.parameter.data());
      x.parameter_sums[item] = tree_sum_squares(stored, tile.count);
    }
    encode_slot(t.slot[int(SlotKind::second_moment)], x.arenas.state, {tile.slice, 0, tile.first, tile.count},
                x.s.writes, v);
    if (t.second_moment >= 0) {
      float* record = at<float>(x.arenas.scratch, t.second_moment) + start;
      for (int64_t i = 0; i < tile.count; ++i) record[i] = core::canonical(v[i]);
    }
  });
}

}  // namespace

void step_full(const TensorPlan& t, const TensorPointers& pointers, const Arenas& arenas, Workers& workers) {
  core::TensorClock& clock = *at<core::TensorClock>(arenas.state, t.clock);
  core::StepScalars& scalars = *at<core::StepScalars>(arenas.scratch, t.scalars);
  scalars = core::begin_step(t.hyper, clock, *at<double>(arenas.state, t.lr), *at<float>(arenas.state, t.multiplier));
  Pass x{t, pointers, arenas, workers, scalars};
  sweep(x);
  const double update_sum = total(t, x.update_sums, x.slice_update);
  if (scalars.reads_parameter) scalars.parameter_sum = total(t, x.parameter_sums, x.slice_parameter);
  core::finish_step(t.hyper, t.size, update_sum, t.nonfinite == Nonfinite::skip, scalars);
  if (scalars.skipped) return;
  apply(x);
  core::commit_step(t.hyper, scalars, clock);
  if (t.hyper.carried) clock.parameter_sum = total(t, x.parameter_sums, x.slice_parameter);
}

}  // namespace plumbline::twin
