// The two passes of the full path, whichever way their tiles are formed.
#pragma once
#include "cuda/kernels/full_lean.cuh"

namespace plumbline::PLUMBLINE_TARGET {

struct FullShared {
  core::StepScalars scalars;
  TreeScratch tree;
  WarpRanges range;
  uint32_t arrived;
  LeanShared lean;
};

// Sums of a tensor's tiles are all there: the scalars of the step, in one thread.
PLUMBLINE_DEVICE void finish_full(const Task& task, double update_sum, double parameter_sum) {
  const TensorPlan& plan = task.plan;
  core::StepScalars& scalars = *scalars_of(task);
  if (task.average == Average::confidence) return core::finish_limit(plan.hyper, core::sqrt(update_sum), scalars);
  uint64_t* const count = scratch_at<uint64_t>(task, plan.nonfinite_count);
  scalars.nonfinite = nonfinite_elements(task, load_fresh(count));
  *count = 0;
  if (scalars.reads_parameter) scalars.parameter_sum = parameter_sum;
  core::finish_step(plan.hyper, plan.size, update_sum, plan.nonfinite == Nonfinite::skip, scalars);
}

// Pass 1; for the average `confidence`: momentum of the update ahead of the limiter.
template <class G>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
sweep_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(FullShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const int t = thread_index();
  const bool limits = task.average == Average::confidence;
  if (t == 0) {
    shared.scalars = limits ? *scalars_of(task) : begin_step(task);
    if (!limits && task.block == 0) *scalars_of(task) = shared.scalars;
  }
  block_barrier();
  const core::StepScalars& scalars = shared.scalars;
  if (limits && scalars.skipped) return;
  const bool writes = limits || !found_nonfinite(task);
  const bool momentum = plan.hyper.momentum && !plan.hyper.momentum_of_update;
  const bool reads_parameter = !limits && scalars.reads_parameter;
  const FullPass pass(task, scalars, plan.nonfinite == Nonfinite::zero && (!limits || scalars.nonfinite != 0));
  double* const update_sums = scratch_at<double>(task, plan.update_sums);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t found = 0;
  const int64_t lean = lean_tiles(plan);
  if (lean > 0) lean_sweep_of_any_type<G>(pass, reads_parameter, found, shared.lean);
  for (int64_t tile = tile_behind(task, lean); writes && tile < plan.slices * plan.flat_tiles; tile += task.blocks) {
    const TilePlace place(plan, tile);
    FullMoment moment = full_moment<G>(pass, place, found);
    if (momentum) {
      float m[kFullEach];
      const float square = update_momentum(pass, place, moment.g, m, shared.range);
      divide_momentum(m, square, moment);
    } else if (limits) {
      float m[kFullEach];
      clip_updates(scalars.inverse_clip, moment.u);
      update_momentum(pass, place, moment.u, m, shared.range);
      PLUMBLINE_UNROLL
      for (int e = 0; e < kFullEach; ++e) moment.u[e] = m[e];
    }
    const double update = block_tree(square_tree(moment.u, place.count), shared.tree);
    if (t == 0) update_sums[tile] = update;
    if (!reads_parameter) continue;
    const double parameter = block_tree(parameter_squares_of_any_type(task, place), shared.tree);
    if (t == 0) parameter_sums[tile] = parameter;
  }
  if (found != 0 && !limits && !counts_first(plan))
    atomic_add(scratch_at<uint64_t>(task, plan.nonfinite_count), uint64_t(found));

  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double update_sum = tile_tree(plan, update_sums, shared.tree);
  const double parameter_sum = reads_parameter ? tile_tree(plan, parameter_sums, shared.tree) : 0.0;
  if (t == 0) {
    *done = 0;
    finish_full(task, update_sum, parameter_sum);
  }
}

template <class G, class P>
PLUMBLINE_KERNEL(kFullThreads, kFullBlocksPerMultiprocessor)
apply_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(FullShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const core::Hyper& h = plan.hyper;
  core::TensorClock& clock = *core::at<core::TensorClock>(task.state, plan.clock);
  const FullPass pass(task, scalars, plan.nonfinite == Nonfinite::zero && scalars.nonfinite != 0);
  const SlotPlan& slot = pass.slot;
  const int t = thread_index();
  const float step = scalars.full_step, keep = scalars.keep, inverse_clip = scalars.inverse_clip;
  const bool random = plan.parameter_rounding == Rounding::stochastic, writes_now = h.momentum_of_update && !h.limiter;
  const uint32_t parameter_writes = uint32_t(scalars.step - 1);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  uint32_t ignored = 0;
  const int64_t lean = lean_tiles(plan);
  if (lean > 0) lean_apply<G, P>(pass, scalars, shared.lean);
  for (int64_t tile = tile_behind(task, lean); tile < plan.slices * plan.flat_tiles; tile += task.blocks) {
    const TilePlace place(plan, tile);
    FullMoment moment = full_moment<G>(pass, place, ignored);
    if (h.momentum) {
      float m[kFullEach];
      if (writes_now) {
        clip_updates(inverse_clip, moment.u);
        update_momentum(pass, place, moment.u, m, shared.range);
      } else {
        read_momentum(pass.momentum_slot, task.state, pass.place_of(place), pass.writes + 1u, m);
      }
      if (!h.momentum_of_update) {
        divide_momentum(m, resolution_of(pass, place), moment);
      } else {
        PLUMBLINE_UNROLL
        for (int e = 0; e < kFullEach; ++e) moment.u[e] = m[e];
      }
    }
    core::BlockScale scale = {0.0f, 1.0f};
    if (core::is_quantized(slot.storage)) scale = tile_scale(slot, moment.v, place.count, shared.range);
    store_values(slot, task.state, place.slice, place.index, moment.v, place.count, scale, pass.writes);
    if (plan.second_moment >= 0) {
      float* const record = scratch_at<float>(task, plan.second_moment) + place.at;
      for (int e = 0; e < place.count; ++e) record[e] = core::canonical(moment.v[e]);
    }
    P* const parameter = static_cast<P*>(task.parameter) + place.at;
    auto p = unpack<P, kFullEach>(load_elements<P, kFullEach>(parameter, place.count, place.whole));
    float y[kFullEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e)
      y[e] = core::perturbed(core::PerturbedStage::parameter,
                             core::apply_full(core::widen(p.x[e]), moment.u[e], step, keep));
    round_parameters(plan, parameter_writes, random, place.slice, 0, place.index, y, p);
    store_elements<P, kFullEach>(parameter, p, place.count, place.whole);
    if (!h.carried) continue;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kFullEach; ++e) y[e] = core::widen(p.x[e]);
    const double sum = block_tree(square_tree(y, place.count), shared.tree);
    if (t == 0) parameter_sums[tile] = sum;
  }
  if (task.block == 0 && t == 0) core::commit_step(h, scalars, clock);
  if (!h.carried) return;
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + plan.slices;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double sum = tile_tree(plan, parameter_sums, shared.tree);
  if (t == 0) {
    *done = 0;
    core::carry_norm(clock, sum);
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
