// Batches of small matrices, stepped whole: a block takes a pack of them, an aligned range of T over the matrices.
// Sweep reads the gradient once, for rows, columns and the norm of every matrix of a pack, and the parameter where its
// norm is wanted; the last block makes the step's scalars. Apply updates parameter and state. Elements pass through
// shared memory as float32, so that neither pass is compiled by types.
#pragma once
#include "cuda/kernels/apply.cuh"
#include "cuda/kernels/quick.cuh"

namespace plumbline::PLUMBLINE_TARGET {

inline constexpr int kPackedThreads = 256, kPackedBlocksPerMultiprocessor = 4;
inline constexpr int kPackedEach = 4;  // elements of a thread at once
inline constexpr int kPackedLoads = kPackElements / (kPackedThreads * kPackedEach);
static_assert(kPackMatrices <= 2 * kPackedThreads);

struct PackedShared {
  alignas(16) float x[kPackElements];
  float row[kPackLines];  // R_i, then a_i
  union {
    float inverse[kPackLines];  // 1/R_i
    float col[kPackLines];      // b_j
  };
  union {
    double sums[kPackLines];
    core::BlockScale scale[2][kPackMatrices];  // of rows and columns
    struct {
      uint32_t low[kPackLines], high[kPackLines];
    } range;
  };
  float k[kPackMatrices];
  TreeScratch tree;
  uint32_t arrived;
};

// Matrices [first, first + count) of the batch.
struct Pack {
  int64_t first;
  int count;
  PLUMBLINE_DEVICE Pack(const TensorPlan& plan, int64_t number) : first(number * plan.pack) {
    const int64_t left = plan.slices - first;
    count = left < plan.pack ? int(left) : plan.pack;
  }
};

// T over load(0) ... load(n - 1), 1 <= n <= Count, by one thread. No sum here is a negative zero, so +0 is left out.
template <class F, int Count, int First = 0, class Load>
PLUMBLINE_DEVICE F short_tree(int n, const Load& load) {
  if constexpr (Count == 1) {
    return load(First);
  } else {
    const F left = short_tree<F, Count / 2, First>(n, load);
    if (First + Count / 2 >= n) return left;
    return core::pair(left, short_tree<F, Count / 2, First + Count / 2>(n, load));
  }
}

// ---- elements of any type ----

template <class T>
PLUMBLINE_DEVICE Packed<T, kPackedEach> load_four(const T* from, int count) {
  if (count < kPackedEach) return load_elements<T, kPackedEach>(from, count, false);
  constexpr int kBytes = int(kPackedEach * sizeof(T));
  const auto words = load<kBytes>(from);  // not streaming: apply reads it again
  Packed<T, kPackedEach> packed;
  PLUMBLINE_UNROLL
  for (int w = 0; w < kBytes / 4; ++w) packed.word[w] = words.word[w];
  return packed;
}
// `n` elements of a pack by take(values, at), four at a time, all loads ahead: for short work.
template <class T, class Take>
PLUMBLINE_DEVICE void visit_elements(const T* from, int n, const Take& take) {
  Packed<T, kPackedEach> raw[kPackedLoads] = {};
  const int first = thread_index() * kPackedEach;
  PLUMBLINE_UNROLL
  for (int v = 0; v < kPackedLoads; ++v) {
    const int at = first + v * kPackedThreads * kPackedEach;
    if (at < n) raw[v] = load_four(from + at, n - at);
  }
  PLUMBLINE_UNROLL
  for (int v = 0; v < kPackedLoads; ++v) {
    const int at = first + v * kPackedThreads * kPackedEach;
    if (at >= n) continue;
    float x[kPackedEach];
    widen_all<T>(raw[v], x);
    take(x, at);
  }
}
template <class Take>
PLUMBLINE_DEVICE void visit_elements_of_any_type(Type type, const void* tensor, int64_t first, int n,
                                                 const Take& take) {
  switch (type) {
    case Type::float32:
      return visit_elements(static_cast<const float*>(tensor) + first, n, take);
    case Type::bfloat16:
      return visit_elements(static_cast<const core::bf16*>(tensor) + first, n, take);
    case Type::float16:
      return visit_elements(static_cast<const core::f16*>(tensor) + first, n, take);
  }
}
PLUMBLINE_DEVICE void keep_elements(float* to, const float (&x)[kPackedEach]) {
  store<16>(to, pack<Bits<16>>(Vec<float, kPackedEach>{{x[0], x[1], x[2], x[3]}}));
}
PLUMBLINE_DEVICE void read_elements(const float* from, float (&x)[kPackedEach]) { widen_all<float>(load<16>(from), x); }
// The gradient as statistics and update see it; how many elements fall under the policy.
PLUMBLINE_DEVICE uint32_t take_gradient(float (&g)[kPackedEach], float multiplier, bool zero) {
  uint32_t found = 0;
  PLUMBLINE_UNROLL
  for (int e = 0; e < kPackedEach; ++e) {
    g[e] = g[e] * multiplier;
    if (!core::is_nonfinite(g[e])) continue;
    ++found;
    if (zero) g[e] = 0.0f;
  }
  return found;
}
// The same elements one after the other, the next ones on their way: work(values, at, count).
PLUMBLINE_DEVICE void load_four_of_any_type(Type type, const void* tensor, int64_t at, int count,
                                            float (&x)[kPackedEach]) {
  switch (type) {
    case Type::float32:
      return widen_all<float>(load_four(static_cast<const float*>(tensor) + at, count), x);
    case Type::bfloat16:
      return widen_all<core::bf16>(load_four(static_cast<const core::bf16*>(tensor) + at, count), x);
    case Type::float16:
      return widen_all<core::f16>(load_four(static_cast<const core::f16*>(tensor) + at, count), x);
  }
}
template <class Work>
PLUMBLINE_DEVICE void walk_elements(Type type, const void* tensor, int64_t first, int n, const Work& work) {
  constexpr int kStep = kPackedThreads * kPackedEach;
  int at = thread_index() * kPackedEach;
  if (at >= n) return;
  float next[kPackedEach] = {};
  load_four_of_any_type(type, tensor, first + at, n - at, next);
  PLUMBLINE_LOOP
  for (; at < n; at += kStep) {
    float x[kPackedEach];
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) x[e] = next[e];
    if (at + kStep < n) load_four_of_any_type(type, tensor, first + at + kStep, n - at - kStep, next);
    work(x, at, n - at < kPackedEach ? n - at : kPackedEach);
  }
}
// Likewise of what this thread has in shared.x.
template <class Work>
PLUMBLINE_DEVICE void walk_staged(const PackedShared& shared, int n, const Work& work) {
  PLUMBLINE_LOOP
  for (int at = thread_index() * kPackedEach; at < n; at += kPackedThreads * kPackedEach) {
    float x[kPackedEach];
    read_elements(shared.x + at, x);
    work(x, at, n - at < kPackedEach ? n - at : kPackedEach);
  }
}
// Gradient and parameter to shared.x.
PLUMBLINE_DEVICE void stage_gradient(const Task& task, int64_t first, int n, float multiplier, bool zero,
                                     uint32_t& found, PackedShared& shared) {
  visit_elements_of_any_type(task.plan.gradient, task.gradient, first, n, [&](float(&x)[kPackedEach], int at) {
    found += take_gradient(x, multiplier, zero);
    keep_elements(shared.x + at, x);
  });
}
PLUMBLINE_DEVICE void stage_parameter(const Task& task, int64_t first, int n, PackedShared& shared) {
  visit_elements_of_any_type(task.plan.parameter, task.parameter, first, n,
                             [&](float(&x)[kPackedEach], int at) { keep_elements(shared.x + at, x); });
}

// Rounds `count` updated values to the parameter's type and stores them; y is then what was stored. Out of line where
// every element draws: draw(e) has its 16 random bits.
struct FourBits {
  uint32_t x[kPackedEach];
};
template <class P, class Draw>
PLUMBLINE_DEVICE void store_four(bool random, P* to, int count, float (&y)[kPackedEach], const Draw& draw) {
  Vec<P, kPackedEach> p;
  narrow_all(y, p);
  if constexpr (sizeof(P) == 2) {
    if (random) {
      const FourBits bits = draw();
      PLUMBLINE_UNROLL
      for (int e = 0; e < kPackedEach; ++e) core::narrow_stochastic(y[e], bits.x[e], p.x[e]);
    }
  }
  store_elements<P, kPackedEach>(to, p, count, count == kPackedEach);
  PLUMBLINE_UNROLL
  for (int e = 0; e < kPackedEach; ++e) y[e] = core::widen(p.x[e]);
}
template <class Draw>
PLUMBLINE_DEVICE void store_four_of_any_type(const Task& task, int64_t first, int count, float (&y)[kPackedEach],
                                             const Draw& draw) {
  const bool random = task.plan.parameter_rounding == Rounding::stochastic;
  switch (task.plan.parameter) {
    case Type::float32:
      return store_four(random, static_cast<float*>(task.parameter) + first, count, y, draw);
    case Type::bfloat16:
      return store_four(random, static_cast<core::bf16*>(task.parameter) + first, count, y, draw);
    case Type::float16:
      return store_four(random, static_cast<core::f16*>(task.parameter) + first, count, y, draw);
  }
}
// Of the elements from number `at` of matrix `slice` on, which may go on in the next matrices; rows x cols each. A
// matrix of the full path is one row. Out of line: rare.
PLUMBLINE_FUNCTION FourBits draw_four(const TensorPlan& plan, uint32_t writes, int64_t slice, int at, int rows,
                                      int cols) {
  const core::RoundingStream stream = {
      {plan.seed, core::is_mutant(core::Mutant::parameter_stream_shared) ? plan.index * 16u : plan.stream}, writes};
  FourBits bits;
  for (int e = 0; e < kPackedEach; ++e) {
    const int line = (at + e) / cols, matrix = line / rows;
    bits.x[e] = core::draw_bits(stream, at + e - line * cols, line - matrix * rows, slice + matrix);
  }
  return bits;
}

// ---- sums ----

// T over of(m) of a pack's matrices by a block; valid in thread 0. All that the block did before is visible behind it.
template <class Of>
PLUMBLINE_DEVICE double matrix_tree(const TensorPlan& plan, int count, PackedShared& shared, const Of& of) {
  const int each = plan.pack > kPackedThreads ? 2 : 1;
  double x[2];
  PLUMBLINE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int m = thread_index() * each + i;
    x[i] = i < each && m < count ? of(m) : 0.0;
  }
  return block_tree(thread_tree(x), shared.tree);
}
// ---- state ----

// Value `index` of a slice as the last step stored it. Out of line: it has all storages and roundings.
PLUMBLINE_FUNCTION float any_old_value(const SlotPlan& slot, const std::byte* state, int64_t slice, int index,
                                       uint32_t writes) {
  return old_value(slot, state, slice, index, writes);
}
// The code of one value of a slice. `writes` of the slot before this one.
PLUMBLINE_FUNCTION uint32_t any_code(const SlotPlan& slot, int64_t slice, int index, float v, core::BlockScale scale,
                                     uint32_t writes) {
  const core::BlockEncoder encoder = core::block_encoder(slot.storage, scale, slot.rounding,
                                                         dither_offset(slot, writes, index / slot.block, 0, slice));
  float u = 0.0f;
  if (slot.rounding == Rounding::stochastic)
    u = core::uniform_of(core::draw_bits(stream_of(slot, writes), index, 0, slice));
  return core::encode(slot.storage, slot.rounding, v, encoder, u);
}
PLUMBLINE_DEVICE uint32_t code_of(const SlotPlan& slot, bool quick, int64_t slice, int index, float v,
                                  core::BlockScale scale, uint32_t writes) {
  const uint32_t bits = core::to_bits(v);
  uint32_t code = 0;
  if (quick && bits >= kQuickLow && bits <= kQuickHigh && quick_code(v, quick_encoder(slot.storage, scale), code))
    return code;
  return any_code(slot, slice, index, v, scale, writes);
}
PLUMBLINE_DEVICE void store_code(const SlotPlan& slot, std::byte* state, int64_t at, uint32_t code) {
  if (slot.storage == Storage::al16)
    core::at<uint16_t>(state, slot.values)[at] = uint16_t(code);
  else
    core::at<uint8_t>(state, slot.values)[at] = uint8_t(code);
}
PLUMBLINE_DEVICE void store_scale(const SlotPlan& slot, std::byte* state, int64_t block, core::BlockScale scale,
                                  uint32_t writes) {
  if (core::is_mutant(core::Mutant::stale_scale) && writes > 0) return;
  const int words = core::scale_words(slot.storage);
  float* const stored = core::at<float>(state, slot.scales) + block * words;
  stored[0] = scale.lo;
  if (words == 2) stored[1] = scale.r;
}
// ---- ends ----

// The last block to come here makes the scalars of the step.
PLUMBLINE_DEVICE void end_packed_sweep(const Task& task, bool reads_parameter, uint32_t found, PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  uint64_t* const count = scratch_at<uint64_t>(task, plan.nonfinite_count);
  if (found != 0) atomic_add(count, uint64_t(found));
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done);
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const auto sum_of = [&](int64_t offset) {
    const double* const sums = scratch_at<double>(task, offset);
    return block_tree_over<8>(
        plan.packs, [&](int64_t i) { return load_fresh(sums + i); }, shared.tree);
  };
  const double update_sum = sum_of(plan.update_sums);
  const double parameter_sum = reads_parameter ? sum_of(plan.parameter_sums) : 0.0;
  if (thread_index() != 0) return;
  *done = 0;
  core::StepScalars& scalars = *scalars_of(task);
  scalars.nonfinite = nonfinite_elements(task, load_fresh(count));
  *count = 0;
  if (reads_parameter) scalars.parameter_sum = parameter_sum;
  end_step(plan, update_sum, scalars);
}

// Clock, and the norm that the next step starts from.
PLUMBLINE_DEVICE void end_packed_apply(const Task& task, const core::StepScalars& scalars, PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  core::TensorClock& clock = *core::at<core::TensorClock>(task.state, plan.clock);
  if (task.block == 0 && thread_index() == 0) core::commit_step(plan.hyper, scalars, clock);
  if (!plan.hyper.carried) return;
  uint32_t* const done = scratch_at<uint32_t>(task, plan.done) + 1;
  if (!is_last_block(done, uint32_t(task.blocks), shared.arrived)) return;
  const double* const sums = scratch_at<double>(task, plan.parameter_sums);
  const double sum = block_tree_over<8>(
      plan.packs, [&](int64_t i) { return load_fresh(sums + i); }, shared.tree);
  if (thread_index() != 0) return;
  *done = 0;
  core::carry_norm(clock, sum);
}

}  // namespace plumbline::PLUMBLINE_TARGET
