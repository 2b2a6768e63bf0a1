#include <algorithm>
#include <atomic>
#include <cmath>

#include "cuda/core/momentum.h"
#include "cuda/core/tree.h"
#include "cuda/twin/gradient.h"
#include "cuda/twin/momentum.h"
#include "cuda/twin/parameter.h"
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
  Momentum momentum = {t, SlotKind::momentum, arenas, s};
  double* update_sums = at<double>(arenas.scratch, t.update_sums);
  double* parameter_sums = at<double>(arenas.scratch, t.parameter_sums);
  double* slice_update = at<double>(arenas.scratch, t.slice_sums) + t.slices;
  double* slice_parameter = slice_update + t.slices;

  const SlotPlan& slot() const { return t.slot[int(SlotKind::second_moment)]; }
  bool averages_gradient() const { return t.hyper.momentum && !t.hyper.momentum_of_update; }
};

// One tile: elements of one slice, whole blocks of its codecs.
struct Tile {
  SlotRange range;  // within the slice's only row
  int64_t start;    // first element
  int64_t count;
  Tile(const TensorPlan& t, int64_t item)
      : range{item / t.flat_tiles, 0, item % t.flat_tiles * core::kFlatTile, 0},
        start(range.slice * t.slice + range.first),
        count(std::min<int64_t>(core::kFlatTile, t.slice - range.first)) {
    range.count = count;
  }
};

// The gradient of a tile as the statistics see it.
const float* tile_gradient(const Pass& x, const Tile& tile, bool zero, Workspace& space) {
  float* buffer = space.gradient.data();
  return zero ? x.gradient.read_zeroed(tile.start, tile.count, buffer)
              : x.gradient.read(tile.start, tile.count, buffer);
}

// V of this step, in v, and u = x / sqrt(V), x the gradient or the momentum that its tile holds in space.momentum.
void precondition(const Pass& x, const Tile& tile, const float* g, float* v, float* u, Workspace& space) {
  decode_slot(x.slot(), x.arenas.state, tile.range, x.s.writes, v);
  precondition_row(v, g, x.s.weights, u, tile.count);
  if (!x.averages_gradient()) return;
  float* const floor = x.t.resolves_moment() ? space.resolution.data() : nullptr;
  if (floor != nullptr) x.momentum.resolve(tile.range, floor);
  full_update_row(v, floor, space.momentum.data(), u, tile.count);
}

int64_t count_tile(const Pass& x, const Tile& tile, Workspace& space) {
  return count_nonfinite(x.gradient.read(tile.start, tile.count, space.gradient.data()), tile.count);
}

// Whether an element falls under the policy: what momentum of the gradient has to know before it is written.
bool is_skipped(const Pass& x) {
  if (x.t.nonfinite != Nonfinite::skip || !x.averages_gradient()) return false;
  x.workers.for_each(x.t.slices * x.t.flat_tiles, [&](int64_t item, Workspace& space) {
    const int64_t found = count_tile(x, Tile(x.t, item), space);
    if (found > 0) std::atomic_ref(x.s.nonfinite) += found;
  });
  return x.s.nonfinite > 0;
}

void sweep(const Pass& x) {
  x.workers.for_each(x.t.slices * x.t.flat_tiles, [&](int64_t item, Workspace& space) {
    const Tile tile(x.t, item);
    float v[core::kFlatTile], *u = space.square.data();
    const int64_t found = count_tile(x, tile, space);
    if (found > 0) std::atomic_ref(x.s.nonfinite) += found;
    const float* g = tile_gradient(x, tile, x.t.nonfinite == Nonfinite::zero && found > 0, space);
    if (x.averages_gradient()) x.momentum.update(tile.range, g, space.momentum.data());
    precondition(x, tile, g, v, u, space);
    x.update_sums[item] = tree_sum_squares(u, tile.count);
    if (x.s.reads_parameter) {
      const float* p = x.parameter.read(tile.start, tile.count, space.parameter.data());
      x.parameter_sums[item] = tree_sum_squares(p, tile.count);
    }
  });
}

// Tile sums to the tensor's: T over tiles, then over slices.
double total(const TensorPlan& t, double* tiles, double* slices) {
  for (int64_t k = 0; k < t.slices; ++k) slices[k] = core::tree_in_place(tiles + k * t.flat_tiles, t.flat_tiles);
  return core::tree_in_place(slices, t.slices);
}

// V in v, and in space.momentum the momentum of the clipped update, stored and decoded.
void average_update(const Pass& x, const Tile& tile, float* v, Workspace& space) {
  const bool zero = x.t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0;
  float* u = space.square.data();
  precondition(x, tile, tile_gradient(x, tile, zero, space), v, u, space);
  clip_full_row(u, x.s.inverse_clip, tile.count);
  x.momentum.update(tile.range, u, space.momentum.data());
}

// Momentum of the update ahead of the limiter that needs its norm.
void sweep_momentum(const Pass& x) {
  x.workers.for_each(x.t.slices * x.t.flat_tiles, [&](int64_t item, Workspace& space) {
    const Tile tile(x.t, item);
    float v[core::kFlatTile];
    average_update(x, tile, v, space);
    x.update_sums[item] = tree_sum_squares(space.momentum.data(), tile.count);
  });
}

// V of the step once more, and what the parameter moves along.
const float* final_update(const Pass& x, const Tile& tile, float* v, Workspace& space) {
  const core::Hyper& h = x.t.hyper;
  if (h.momentum_of_update && !h.limiter) {
    average_update(x, tile, v, space);
    return space.momentum.data();
  }
  if (h.momentum) x.momentum.read(tile.range, space.momentum.data());
  const bool zero = x.t.nonfinite == Nonfinite::zero && x.s.nonfinite > 0;
  precondition(x, tile, tile_gradient(x, tile, zero, space), v, space.square.data(), space);
  return h.momentum_of_update ? space.momentum.data() : space.square.data();
}

// A mutant: an element whose neighbour of the next block moves more takes two roundings for one.
void update_by_neighbours(float* p, const float* u, float step, float keep, int64_t n) {
  constexpr int64_t kBeside = 64;
  for (int64_t i = 0; i < n; ++i) {
    const bool longer = i + kBeside < n && std::fabs(u[i + kBeside]) > std::fabs(u[i]);
    p[i] = longer ? p[i] * keep - step * u[i] : core::apply_full(p[i], u[i], step, keep);
  }
}

void apply(const Pass& x) {
  const TensorPlan& t = x.t;
  x.workers.for_each(t.slices * t.flat_tiles, [&](int64_t item, Workspace& space) {
    const Tile tile(t, item);
    float v[core::kFlatTile];
    const float* u = final_update(x, tile, v, space);
    float* p = x.parameter.open(tile.start, tile.count, space.parameter.data());
    if (core::is_mutant(core::Mutant::path_by_neighbour))
      update_by_neighbours(p, u, x.s.full_step, x.s.keep, tile.count);
    else
      update_full_row(p, u, x.s.full_step, x.s.keep, tile.count);
    x.parameter.close(tile.start, tile.range, p);
    if (t.hyper.carried) {
      const float* stored = core::is_mutant(core::Mutant::carried_unrounded)
                                ? p
                                : x.parameter.read(tile.start, tile.count, space.parameter.data());
      x.parameter_sums[item] = tree_sum_squares(stored, tile.count);
    }
    encode_slot(x.slot(), x.arenas.state, tile.range, x.s.writes, v);
    if (t.second_moment >= 0) copy_canonical(v, at<float>(x.arenas.scratch, t.second_moment) + tile.start, tile.count);
  });
}

}  // namespace

void step_full(const TensorPlan& t, const TensorPointers& pointers, const Arenas& arenas, Workers& workers) {
  core::TensorClock& clock = *at<core::TensorClock>(arenas.state, t.clock);
  core::StepScalars& scalars = *at<core::StepScalars>(arenas.scratch, t.scalars);
  scalars = core::begin_step(t.hyper, clock, *at<double>(arenas.state, t.lr), *at<float>(arenas.state, t.multiplier));
  const Pass x{t, pointers, arenas, workers, scalars};
  if (is_skipped(x)) {
    scalars.skipped = 1;
    return;
  }
  sweep(x);
  const double update_sum = total(t, x.update_sums, x.slice_update);
  if (scalars.reads_parameter) scalars.parameter_sum = total(t, x.parameter_sums, x.slice_parameter);
  core::finish_step(t.hyper, t.size, update_sum, t.nonfinite == Nonfinite::skip, scalars);
  if (scalars.skipped) return;
  if (core::limits_later(t.hyper)) {
    sweep_momentum(x);
    core::finish_limit(t.hyper, core::sqrt(total(t, x.update_sums, x.slice_update)), scalars);
  }
  apply(x);
  core::commit_step(t.hyper, scalars, clock);
  if (t.hyper.carried) core::carry_norm(clock, total(t, x.parameter_sums, x.slice_parameter));
}

}  // namespace plumbline::twin
