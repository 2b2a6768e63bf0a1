// Pass 3 where the update follows momentum: p <- p keep - a_i M b_j with momentum of the gradient and with CAME (a_i
// and b_j then from SR and SC), p <- p keep - step M with momentum of the update alone. M is what the slot holds.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/momentum.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kApplyRows = 2;  // that a thread has in flight
static_assert(kApplyThreads * kMomentumEach == core::kPanel);

struct ApplyMomentumShared {
  WarpRanges range;
  double sums[2][kApplyRows][kApplyThreads / kWarp];  // of p^2: batch parity, row, warp
};

template <class P>
PLUMBLINE_KERNEL(kApplyThreads, kApplyBlocksPerMultiprocessor)
apply_momentum(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(ApplyMomentumShared, shared);
  constexpr int E = kMomentumEach;
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const int commits = commit_blocks_of(plan), block = task.block - commits, blocks = task.blocks - commits;
  if (block < 0) return commit(task, scalars, shared.range);

  const bool confident = plan.hyper.has_confidence, plain = plan.hyper.momentum_of_update && !confident;
  const bool confidence = confident && !core::is_mutant(core::Mutant::confidence_unused);
  const bool carried = plan.hyper.carried, random = plan.parameter_rounding == Rounding::stochastic;
  const SlotPlan& slot = slot_of(task, SlotKind::momentum);
  const int t = thread_index(), lane = t % kWarp, warp = t / kWarp, rows = plan.rows, cols = plan.cols;
  const int panel = block % plan.panels, col = panel * core::kPanel + t * E, count = cols - col;
  const bool whole = cols % E == 0;
  const float keep = scalars.keep, step = scalars.full_step;
  const uint32_t writes = scalars.writes + 1u, parameter_writes = uint32_t(scalars.step - 1);
  const float* const averages = scratch_at<float>(task, confidence ? plan.confidence_row_used : plan.row_used);
  const float* const scales = scratch_at<float>(task, confidence ? plan.confidence_scale : plan.col_scale) + col;
  const float* const k = scratch_at<float>(task, plan.slice_step);
  double* const parameter_sums = scratch_at<double>(task, plan.parameter_sums);
  P* const parameter = static_cast<P*>(task.parameter) + col;
  float b[E] = {};
  int64_t b_slice = -1;
  int parity = 0;
  const int64_t pairs = core::ceil_div(rows, kApplyRows), step_pairs = blocks / plan.panels;
  for (int64_t q = block / plan.panels; q < plan.slices * pairs; q += step_pairs) {
    const int64_t slice = q / pairs;
    const int row = int(q % pairs) * kApplyRows;
    if (slice != b_slice && !plain) {
      b_slice = slice;
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e)
        b[e] = e < count ? scales[slice * plan.pitch + e + (core::is_mutant(core::Mutant::neighbour_column) ? 1 : 0)]
                         : 0.0f;
    }
    Packed<P, E> p[kApplyRows];
    float m[kApplyRows][E];
    PLUMBLINE_UNROLL
    for (int r = 0; r < kApplyRows; ++r) {
      const int left = row + r < rows ? count : 0;
      p[r] = load_elements<P, E>(parameter + (slice * rows + row + r) * cols, left, whole);
      read_momentum(slot, task.state, {slice, row + r, col, left < E ? left : E}, writes, m[r]);
    }
    double squares[kApplyRows];
    PLUMBLINE_UNROLL
    for (int r = 0; r < kApplyRows; ++r) {
      const int left = row + r < rows ? count : 0;
      const float a = !plain && row + r < rows
                          ? core::row_scale(k[slice], averages[slice * rows + neighbour_row(row + r, rows)])
                          : 0.0f;
      auto parameters = unpack<P, E>(p[r]);
      float y[E];
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e) {
        const float x = core::widen(parameters.x[e]);
        y[e] = core::perturbed(core::PerturbedStage::parameter, plain ? core::apply_full(x, m[r][e], step, keep)
                                                                      : core::apply(x, m[r][e], a, b[e], keep));
      }
      round_parameters(plan, parameter_writes, random, slice, row + r, col, y, parameters);
      store_elements<P, E>(parameter + (slice * rows + row + r) * cols, parameters, left, whole);
      double s[E];
      PLUMBLINE_UNROLL
      for (int e = 0; e < E; ++e) s[e] = carried && e < left ? core::norm_square(core::widen(parameters.x[e])) : 0.0;
      squares[r] = thread_tree(s);
    }
    if (!carried) continue;
    PLUMBLINE_UNROLL
    for (int r = 0; r < kApplyRows; ++r) {
      const double sum = warp_tree(squares[r]);
      if (lane == 0) shared.sums[parity][r][warp] = sum;
    }
    block_barrier();  // one a batch: the next one writes the other half
    if (t < kApplyRows && row + t < rows)
      parameter_sums[(slice * rows + row + t) * plan.panels + panel] = thread_tree(shared.sums[parity][t]);
    parity ^= 1;
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
