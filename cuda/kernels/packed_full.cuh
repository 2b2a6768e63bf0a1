// Packs of small matrices whose second moment has every element (packed.cuh): pass 1 forms V and u for the norms, pass
// 2 forms V again, stores it and updates p. Sums and ranges within a matrix go by pieces of eight elements, aligned
// ranges of T; a block of a codec is whole pieces.
#pragma once
#include "cuda/kernels/packed.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kPackedFullBlocksPerMultiprocessor = 5;
inline constexpr int kPiece8 = 8, kMostPieces = kPackedElements / kPiece8;
static_assert(kPackElements / kPiece8 + kPackMatrices <= kPackLines);  // pieces of a pack

// Matrices of a full tensor: `elements` each, in pieces and in blocks of the codec.
struct FullShape {
  int elements, pieces, blocks;
  PLUMBLINE_DEVICE FullShape(const TensorPlan& plan, const SlotPlan& slot)
      : elements(int(plan.slice)), pieces(int(core::ceil_div(plan.slice, kPiece8))), blocks(int(slot.blocks)) {}
};

// sum x^2 of a pack, T over the elements of a matrix, then over matrices; behind a barrier.
PLUMBLINE_DEVICE double pack_squares(const TensorPlan& plan, const FullShape& shape, int count, PackedShared& shared) {
  for (int item = thread_index(); item < count * shape.pieces; item += kPackedThreads) {
    const int m = item / shape.pieces, first = (item - m * shape.pieces) * kPiece8, left = shape.elements - first;
    const float* const x = shared.x + m * shape.elements + first;
    shared.sums[item] =
        short_tree<double, kPiece8>(left < kPiece8 ? left : kPiece8, [&](int i) { return core::norm_square(x[i]); });
  }
  block_barrier();
  return matrix_tree(plan, count, shared, [&](int m) {
    return short_tree<double, kMostPieces>(shape.pieces, [&](int i) { return shared.sums[m * shape.pieces + i]; });
  });
}

// What makes V of a pack's elements.
struct PackedMoment {
  const Task& task;
  const SlotPlan& slot;
  Pack pack;
  int elements;
  core::Weights<float> weights;
  uint32_t writes;
  // Four old values from element `at` of the pack on.
  PLUMBLINE_DEVICE void old(int at, int count, float (&v)[kPackedEach]) const {
    const int64_t from = pack.first * elements + at;
    if (!core::is_quantized(slot.storage)) {
      widen_all<float>(load_four(core::at<const float>(task.state, slot.values) + from, count), v);
      return;
    }
    int m = at / elements, index = at - m * elements;
    const bool common = slot.storage == Storage::al8 && slot.rounding == Rounding::nearest;
    const uint8_t* const codes = core::at<const uint8_t>(task.state, slot.values) + from;
    const auto decoder_here = [&] {
      const int64_t block = (pack.first + m) * slot.blocks + index / slot.block;
      const auto scale = unpack<float, 2>(load<8>(core::at<const float>(task.state, slot.scales) + 2 * block));
      return core::block_decoder(Storage::al8, {scale.x[0], scale.x[1]});
    };
    uint32_t word = 0;
    if (common && count == kPackedEach) word = load<4>(codes).word[0];
    core::BlockDecoder decoder = {};
    if (common) decoder = decoder_here();
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) {
      v[e] = 0.0f;
      if (e >= count) continue;
      const uint32_t code = count == kPackedEach ? word >> 8 * e & 0xffu : common ? codes[e] : 0u;
      v[e] = common ? core::decode_log(float(int(code)), decoder)
                    : any_old_value(slot, task.state, pack.first + m, index, writes);
      ++index;
      if (index < elements && (index & (slot.block - 1)) != 0) continue;
      if (index == elements) index = 0, ++m;
      if (common && e + 1 < count) decoder = decoder_here();
    }
  }
  // V of this step in v.
  PLUMBLINE_DEVICE void form(const float (&g)[kPackedEach], int at, int count, float (&v)[kPackedEach]) const {
    old(at, count, v);
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e)
      v[e] = core::perturbed(core::PerturbedStage::second_moment, core::full_average(v[e], g[e], weights));
  }
};

// u of four elements.
PLUMBLINE_DEVICE void full_updates(const float (&g)[kPackedEach], const float (&v)[kPackedEach],
                                   float (&u)[kPackedEach]) {
  MomentSpan span;
  bool quick = true;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kPackedEach; ++e) {
    span.include(v[e]);
    quick = quick && is_quick_gradient(g[e]);
  }
  if (quick && span.is_quick()) {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) u[e] = quick_update(g[e], v[e]);
  } else {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) u[e] = core::full_update(g[e], v[e]);
  }
}

PLUMBLINE_KERNEL(kPackedThreads, kPackedFullBlocksPerMultiprocessor)
sweep_packed_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  const float multiplier = scalars.multiplier;
  const bool reads_parameter = scalars.reads_parameter != 0, zero = plan.nonfinite == Nonfinite::zero;
  const SlotPlan& slot = slot_of(task, SlotKind::second_moment);
  const FullShape shape(plan, slot);
  uint32_t found = 0;
  for (int64_t number = task.block; number < plan.packs; number += task.blocks) {
    const PackedMoment moment = {task, slot, Pack(plan, number), shape.elements, scalars.weights, scalars.writes};
    const Pack& pack = moment.pack;
    const int64_t first = pack.first * shape.elements;
    const int n = pack.count * shape.elements;
    stage_gradient(task, first, n, multiplier, zero, found, shared);
    walk_staged(shared, n, [&](float(&g)[kPackedEach], int at, int count) {
      float v[kPackedEach];
      moment.form(g, at, count, v);
      float u[kPackedEach];
      full_updates(g, v, u);
      keep_elements(shared.x + at, u);
    });
    block_barrier();
    const double update = pack_squares(plan, shape, pack.count, shared);
    if (thread_index() == 0) scratch_at<double>(task, plan.update_sums)[number] = update;
    if (!reads_parameter) continue;
    stage_parameter(task, first, n, shared);
    block_barrier();
    const double parameter = pack_squares(plan, shape, pack.count, shared);
    if (thread_index() == 0) scratch_at<double>(task, plan.parameter_sums)[number] = parameter;
  }
  end_packed_sweep(task, reads_parameter, found, shared);
}

// Scales of a pack's blocks from V in shared.x; behind a barrier, and with one. What encodes with them stays in shared
// memory: lo and r, or a QuickEncoder.
PLUMBLINE_DEVICE void store_pack_scales(const Task& task, const SlotPlan& slot, const FullShape& shape,
                                        const Pack& pack, uint32_t writes, PackedShared& shared) {
  for (int item = thread_index(); item < pack.count * shape.pieces; item += kPackedThreads) {
    const int m = item / shape.pieces, first = (item - m * shape.pieces) * kPiece8;
    core::BlockRange range;
    PLUMBLINE_UNROLL
    for (int i = 0; i < kPiece8; ++i)
      if (first + i < shape.elements) core::include(range, shared.x[m * shape.elements + first + i]);
    shared.range.low[item] = range.low;
    shared.range.high[item] = range.high;
  }
  block_barrier();
  const int of_block = slot.block / kPiece8;  // pieces
  for (int item = thread_index(); item < pack.count * shape.blocks; item += kPackedThreads) {
    const int m = item / shape.blocks, first = (item - m * shape.blocks) * of_block, left = shape.pieces - first;
    const int pieces = core::is_mutant(core::Mutant::pack_range_of_piece) ? 1 : left < of_block ? left : of_block;
    core::BlockRange range;
    for (int i = 0; i < pieces; ++i) {
      const int piece = m * shape.pieces + first + i;
      range = core::merge(range, {shared.range.low[piece], shared.range.high[piece]});
    }
    const core::BlockScale scale = core::block_scale(slot.storage, range);
    if (takes_quick_codes(slot)) {
      const QuickEncoder encoder = quick_encoder(slot.storage, scale);
      shared.row[item] = encoder.offset;
      shared.col[item] = encoder.per_octave;
      shared.k[item] = encoder.most;
    } else {
      shared.row[item] = scale.lo;
      shared.col[item] = scale.r;
    }
    store_scale(slot, task.state, pack.first * shape.blocks + item, scale, writes);
  }
  block_barrier();
}

// V of `count` elements from number `at` of the pack on, whose scales are there.
PLUMBLINE_DEVICE void store_moments(const Task& task, const SlotPlan& slot, const FullShape& shape, const Pack& pack,
                                    int at, int count, bool quick, uint32_t writes, const float (&v)[kPackedEach],
                                    const PackedShared& shared) {
  const int64_t to = pack.first * shape.elements + at;
  if (task.plan.second_moment >= 0) {
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e)
      if (e < count) scratch_at<float>(task, task.plan.second_moment)[to + e] = core::canonical(v[e]);
  }
  if (!core::is_quantized(slot.storage)) {
    Vec<float, kPackedEach> stored;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) stored.x[e] = core::canonical(v[e]);
    store_elements<float, kPackedEach>(core::at<float>(task.state, slot.values) + to, stored, count,
                                       count == kPackedEach);
    return;
  }
  int m = at / shape.elements, index = at - m * shape.elements;
  uint32_t codes[kPackedEach];
  PLUMBLINE_UNROLL
  for (int e = 0; e < kPackedEach; ++e) {
    codes[e] = 0;
    if (e >= count) continue;
    const int block = m * shape.blocks + (shape.blocks == 1 ? 0 : index / slot.block);
    const uint32_t bits = core::to_bits(v[e]);
    if (!(quick && bits >= kQuickLow && bits <= kQuickHigh &&
          quick_code(v[e], {shared.row[block], shared.col[block], shared.k[block]}, codes[e]))) {
      core::BlockScale scale = {shared.row[block], shared.col[block]};
      if (quick) {  // this block of threads has stored it
        const float* const stored =
            core::at<const float>(task.state, slot.scales) + (pack.first * shape.blocks + block) * 2;
        scale = {stored[0], stored[1]};
      }
      codes[e] = any_code(slot, pack.first + m, index, v[e], scale, writes);
    }
    if (++index == shape.elements) index = 0, ++m;
  }
  if (slot.storage != Storage::al16 && count == kPackedEach) {
    const uint32_t word =
        byte_permute(byte_permute(codes[0], codes[1], 0x0040u), byte_permute(codes[2], codes[3], 0x0040u), 0x5410u);
    store<4>(core::at<uint8_t>(task.state, slot.values) + to, Bits<4>{{word}});
    return;
  }
  PLUMBLINE_UNROLL
  for (int e = 0; e < kPackedEach; ++e)
    if (e < count) store_code(slot, task.state, to + e, codes[e]);
}

PLUMBLINE_KERNEL(kPackedThreads, kPackedFullBlocksPerMultiprocessor)
apply_packed_full(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  const TensorPlan& plan = task.plan;
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  const SlotPlan& slot = slot_of(task, SlotKind::second_moment);
  const FullShape shape(plan, slot);
  const bool coded = core::is_quantized(slot.storage), quick = takes_quick_codes(slot), carried = plan.hyper.carried;
  const bool zero = scalars.nonfinite != 0 && plan.nonfinite == Nonfinite::zero &&
                    !core::is_mutant(core::Mutant::zeroed_in_sums_only);
  const float multiplier = scalars.multiplier, step = scalars.full_step, keep = scalars.keep;
  const uint32_t writes = scalars.writes;
  const auto parameter_writes = uint32_t(scalars.step - 1);
  uint32_t ignored = 0;
  for (int64_t done = task.block; done < plan.packs; done += task.blocks) {
    const int64_t number = plan.packs - 1 - done;  // what the cache still holds
    const PackedMoment moment = {task, slot, Pack(plan, number), shape.elements, scalars.weights, writes};
    const Pack& pack = moment.pack;
    const int64_t first = pack.first * shape.elements;
    const int n = pack.count * shape.elements;
    stage_gradient(task, first, n, multiplier, zero, ignored, shared);
    walk_staged(shared, n, [&](float(&g)[kPackedEach], int at, int count) {
      float v[kPackedEach];
      moment.form(g, at, count, v);
      keep_elements(shared.x + at, v);
    });
    if (coded) {
      block_barrier();
      store_pack_scales(task, slot, shape, pack, writes, shared);
    }
    walk_elements(plan.gradient, task.gradient, first, n, [&](float(&g)[kPackedEach], int at, int count) {
      take_gradient(g, multiplier, zero);
      float v[kPackedEach], y[kPackedEach] = {};
      read_elements(shared.x + at, v);
      load_four_of_any_type(plan.parameter, task.parameter, first + at, count, y);
      store_moments(task, slot, shape, pack, at, count, quick, writes, v, shared);
      float u[kPackedEach];
      full_updates(g, v, u);
      PLUMBLINE_UNROLL
      for (int e = 0; e < kPackedEach; ++e)
        y[e] = core::perturbed(core::PerturbedStage::parameter, core::apply_full(y[e], u[e], step, keep));
      store_four_of_any_type(task, first + at, count, y,
                             [&] { return draw_four(plan, parameter_writes, pack.first, at, 1, shape.elements); });
      if (carried) keep_elements(shared.x + at, y);
    });
    if (!carried) continue;
    block_barrier();
    const double sum = pack_squares(plan, shape, pack.count, shared);
    if (thread_index() == 0) scratch_at<double>(task, plan.parameter_sums)[number] = sum;
  }
  end_packed_apply(task, scalars, shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
