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

// Extents of a matrix; those that are not 0 are known to the compiler.
template <int Rows, int Cols>
struct PackShape {
  static constexpr int kMostRows = Rows == 0 ? kPackedExtent : Rows <= 1 ? 1 : 4;
  static constexpr int kMostCols = Cols == 0 ? kPackedExtent : Cols <= 1 ? 1 : 4;
  static_assert(Rows <= kMostRows && Cols <= kMostCols);
  int given_rows, given_cols;
  PLUMBLINE_DEVICE int rows() const { return Rows != 0 ? Rows : given_rows; }
  PLUMBLINE_DEVICE int cols() const { return Cols != 0 ? Cols : given_cols; }
  PLUMBLINE_DEVICE int elements() const { return rows() * cols(); }
};
// Calls work(shape): 3x3 and 1x1 are most of what convolutions have.
template <class Work>
PLUMBLINE_DEVICE void with_pack_shape(const TensorPlan& plan, const Work& work) {
  if (plan.rows == 3 && plan.cols == 3) return work(PackShape<3, 3>{3, 3});
  if (plan.rows == 1 && plan.cols == 1) return work(PackShape<1, 1>{1, 1});
  work(PackShape<0, 0>{plan.rows, plan.cols});
}

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
  float next[kPackedEach];
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
// sum x^2 of a pack, T over columns, rows, matrices; behind a barrier.
template <class Shape>
PLUMBLINE_DEVICE double pack_squares(const TensorPlan& plan, const Shape& shape, int count, PackedShared& shared) {
  const int rows = shape.rows(), cols = shape.cols();
  for (int item = thread_index(); item < count * rows; item += kPackedThreads) {
    const float* const x = shared.x + item * cols;
    shared.sums[item] = short_tree<double, Shape::kMostCols>(cols, [&](int j) { return core::norm_square(x[j]); });
  }
  block_barrier();
  return matrix_tree(plan, count, shared, [&](int m) {
    return short_tree<double, Shape::kMostRows>(rows, [&](int i) { return shared.sums[m * rows + i]; });
  });
}

// Sums of c and w over strips of eight rows, then T over the strips.
struct StripSums {
  float col, weighted;
};
template <int Count, int First = 0>
PLUMBLINE_DEVICE StripSums strip_tree(const float* x, int cols, const float* inverse, int rows) {
  static_assert(kPackedExtent <= 1024);  // then a strip has eight rows
  constexpr int kStripRows = 8;
  if constexpr (Count == 1) {
    StripSums sums = {0.0f, 0.0f};
    PLUMBLINE_UNROLL
    for (int r = 0; r < kStripRows; ++r) {
      const int i = First * kStripRows + r;
      if (i >= rows) continue;
      const float s = core::square(x[i * cols]);
      sums.col = core::pair(sums.col, s);
      sums.weighted = core::add_weighted(s, inverse[i], sums.weighted);
    }
    return sums;
  } else {
    StripSums left = strip_tree<Count / 2, First>(x, cols, inverse, rows);
    if ((First + Count / 2) * kStripRows >= rows) return left;
    const StripSums right = strip_tree<Count / 2, First + Count / 2>(x, cols, inverse, rows);
    return {core::pair(left.col, right.col), core::pair(left.weighted, right.weighted)};
  }
}

// ---- pass 1 ----

// Value `index` of a slice as the last step stored it, as old_value has it: with little code for what is common.
PLUMBLINE_FUNCTION float any_old_value(const SlotPlan& slot, const std::byte* state, int64_t slice, int index,
                                       uint32_t writes) {
  return old_value(slot, state, slice, index, writes);
}
PLUMBLINE_DEVICE float common_old_value(const SlotPlan& slot, const std::byte* state, int64_t slice, int index,
                                        uint32_t writes) {
  const int64_t at = slice * slot.matrix + index;
  if (slot.storage == Storage::fp32) return core::at<const float>(state, slot.values)[at];
  if (slot.storage != Storage::al8 || slot.rounding != Rounding::nearest || slot.blocks != 1)
    return any_old_value(slot, state, slice, index, writes);
  const auto scale = unpack<float, 2>(load<8>(core::at<const float>(state, slot.scales) + 2 * slice));
  const uint32_t code = core::at<const uint8_t>(state, slot.values)[at];
  return core::decode_log(float(int(code)), core::block_decoder(Storage::al8, {scale.x[0], scale.x[1]}));
}

template <class Shape>
PLUMBLINE_DEVICE void sweep_pack(const Task& task, const Shape& shape, const core::Weights<float>& weights,
                                 uint32_t writes, float multiplier, bool reads_parameter, int64_t number,
                                 uint32_t& found, PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const Pack pack(plan, number);
  const int t = thread_index(), rows = shape.rows(), cols = shape.cols(), elements = shape.elements();
  const int n = pack.count * elements;
  stage_gradient(task, pack.first * elements, n, multiplier, plan.nonfinite == Nonfinite::zero, found, shared);
  block_barrier();

  float* const row_average = scratch_at<float>(task, plan.row) + pack.first * rows;
  const SlotPlan& row_slot = slot_of(task, SlotKind::row);
  const auto columns_counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : cols);
  for (int item = t; item < pack.count * rows; item += kPackedThreads) {
    const int m = item / rows, i = item - m * rows;
    const float old = common_old_value(row_slot, task.state, pack.first + m, i, writes);
    const float* const x = shared.x + item * cols;
    const float sum = short_tree<float, Shape::kMostCols>(cols, [&](int j) { return core::square(x[j]); });
    const float r = core::perturbed(core::PerturbedStage::row, core::average(old, sum, columns_counted, weights));
    row_average[item] = core::canonical(r);
    shared.row[item] = r;
    shared.inverse[item] = core::inverse_row(r);
  }
  if (!core::is_mutant(core::Mutant::pack_barrier_lost)) block_barrier();

  float* const col_average = scratch_at<float>(task, plan.col) + pack.first * cols;
  const SlotPlan& col_slot = slot_of(task, SlotKind::col);
  const auto rows_counted = float(core::is_mutant(core::Mutant::columns_counted_wrong) ? cols : rows);
  constexpr int kMostStrips = Shape::kMostRows <= 8 ? 1 : Shape::kMostRows / 8;
  const int summed = core::is_mutant(core::Mutant::lost_strip) && rows > 8 ? (rows - 1) / 8 * 8 : rows;
  for (int item = t; item < pack.count * cols; item += kPackedThreads) {
    const int m = item / cols, j = item - m * cols;
    const float old = common_old_value(col_slot, task.state, pack.first + m, j, writes);
    const StripSums sums =
        strip_tree<kMostStrips>(shared.x + m * elements + j, cols, shared.inverse + m * rows, summed);
    const float c = core::perturbed(core::PerturbedStage::col, core::average(old, sums.col, rows_counted, weights));
    col_average[item] = core::canonical(c);
    shared.sums[item] = core::norm_term(sums.weighted, c);
  }
  block_barrier();

  if (reads_parameter) stage_parameter(task, pack.first * elements, n, shared);
  const double update = matrix_tree(plan, pack.count, shared, [&](int m) {
    const double mean = core::mean_row(
        short_tree<double, Shape::kMostRows>(rows, [&](int i) { return double(shared.row[m * rows + i]); }), rows);
    return core::slice_update_sum(
        mean, short_tree<double, Shape::kMostCols>(cols, [&](int j) { return shared.sums[m * cols + j]; }));
  });
  if (t == 0) scratch_at<double>(task, plan.update_sums)[number] = update;
  if (!reads_parameter) return;
  const double parameter = pack_squares(plan, shape, pack.count, shared);
  if (t == 0) scratch_at<double>(task, plan.parameter_sums)[number] = parameter;
}

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

// A block's packs. Out of line: each shape has its registers, and all of them one launch.
template <class Shape>
PLUMBLINE_FUNCTION uint32_t sweep_packs(const Task& task, const Shape shape) {
  PLUMBLINE_DYNAMIC_SHARED(PackedShared, shared);
  const core::StepScalars& scalars = *scalars_of(task);
  const core::Weights<float> weights = scalars.weights;
  const uint32_t writes = scalars.writes;
  const float multiplier = scalars.multiplier;
  const bool reads_parameter = scalars.reads_parameter != 0;
  uint32_t found = 0;
  for (int64_t number = task.block; number < task.plan.packs; number += task.blocks)
    sweep_pack(task, shape, weights, writes, multiplier, reads_parameter, number, found, *shared);
  return found;
}
PLUMBLINE_KERNEL(kPackedThreads, kPackedBlocksPerMultiprocessor)
sweep_packed(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_DYNAMIC_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  uint32_t found = 0;
  with_pack_shape(task.plan, [&](const auto& shape) { found = sweep_packs(task, shape); });
  end_packed_sweep(task, scalars_of(task)->reads_parameter != 0, found, *shared);
}

// ---- pass 2 ----

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
PLUMBLINE_DEVICE void store_average(const SlotPlan& slot, std::byte* state, bool quick, int64_t slice, int index,
                                    float v, core::BlockScale scale, uint32_t writes) {
  const int64_t at = slice * slot.matrix + index;
  if (!core::is_quantized(slot.storage)) {
    core::at<float>(state, slot.values)[at] = v;
    return;
  }
  store_code(slot, state, at, code_of(slot, quick, slice, index, v, scale, writes));
}

template <class Shape>
PLUMBLINE_DEVICE void apply_pack(const Task& task, const Shape& shape, const core::StepScalars& scalars, int64_t number,
                                 PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const Pack pack(plan, number);
  const int t = thread_index(), rows = shape.rows(), cols = shape.cols(), elements = shape.elements();
  const uint32_t writes = scalars.writes;
  const float* const row_average = scratch_at<const float>(task, plan.row) + pack.first * rows;
  const float* const col_average = scratch_at<const float>(task, plan.col) + pack.first * cols;
  const SlotPlan &row_slot = slot_of(task, SlotKind::row), &col_slot = slot_of(task, SlotKind::col);
  const bool coded = core::is_quantized(row_slot.storage), quick = takes_quick_codes(row_slot);
  const int64_t first = pack.first * elements;
  const int whole = pack.count * elements;
  stage_parameter(task, first, whole, shared);  // where the same threads update it

  // k of every matrix, and the scales of its averages
  const double applied = scalars.applied;
  const int bits = core::tree_height(plan.pack), items = (coded ? 3 : 1) << bits;
  for (int item = t; item < items; item += kPackedThreads) {
    const int what = item >> bits, m = item & (plan.pack - 1);
    if (m >= pack.count) continue;
    if (what == 0) {
      const bool shares = core::is_mutant(core::Mutant::slices_share_mean);
      const float* const r = shares ? scratch_at<const float>(task, plan.row) : row_average + m * rows;
      const double sum = short_tree<double, Shape::kMostRows>(rows, [&](int i) { return double(r[i]); });
      shared.k[m] = float(core::step_coefficient(applied, core::mean_row(sum, rows)));
      continue;
    }
    const bool of_rows = what == 1;
    const SlotPlan& slot = of_rows ? row_slot : col_slot;
    const float* const v = of_rows ? row_average + m * rows : col_average + m * cols;
    core::BlockRange range;
    for (int i = 0; i < (of_rows ? rows : cols); ++i) core::include(range, v[i]);
    const core::BlockScale scale = core::block_scale(slot.storage, range);
    shared.scale[what - 1][m] = scale;
    store_scale(slot, task.state, pack.first + m, scale, writes);
  }
  block_barrier();

  for (int item = t; item < pack.count * rows; item += kPackedThreads) {
    const int m = item / rows, i = item - m * rows;
    const float r = row_average[item];
    const float of = core::is_mutant(core::Mutant::neighbour_row) ? row_average[m * rows + neighbour_row(i, rows)] : r;
    shared.row[item] = core::row_scale(shared.k[core::is_mutant(core::Mutant::pack_shares_step) ? 0 : m], of);
    store_average(row_slot, task.state, quick, pack.first + m, i, r, shared.scale[0][m], writes);
  }
  for (int item = t; item < pack.count * cols; item += kPackedThreads) {
    const int m = item / cols, j = item - m * cols;
    const float c = col_average[item];
    const bool beside = core::is_mutant(core::Mutant::neighbour_column) && j + 1 < cols;
    shared.col[item] = core::col_scale(beside ? col_average[item + 1] : c);
    store_average(col_slot, task.state, quick, pack.first + m, j, c, shared.scale[1][m], writes);
  }
  block_barrier();

  const float multiplier = scalars.multiplier, keep = scalars.keep;
  const bool carried = plan.hyper.carried;
  const bool zero = scalars.nonfinite != 0 && plan.nonfinite == Nonfinite::zero &&
                    !core::is_mutant(core::Mutant::zeroed_in_sums_only);
  const auto parameter_writes = uint32_t(scalars.step - 1);
  const int n = core::is_mutant(core::Mutant::pack_tail_left) && pack.count < plan.pack ? whole - 1 : whole;
  walk_elements(plan.gradient, task.gradient, first, n, [&](float(&g)[kPackedEach], int at, int count) {
    take_gradient(g, multiplier, zero);
    float y[kPackedEach];
    read_elements(shared.x + at, y);
    int item = at / cols, j = at - item * cols, m = item / rows, i = item - m * rows;
    PLUMBLINE_UNROLL
    for (int e = 0; e < kPackedEach; ++e) {
      if (e < count) {
        y[e] = core::perturbed(core::PerturbedStage::parameter,
                               core::apply(y[e], g[e], shared.row[item], shared.col[m * cols + j], keep));
      }
      if (++j < cols) continue;
      j = 0, ++item;
      if (++i == rows) i = 0, ++m;
    }
    store_four_of_any_type(task, first + at, count, y,
                           [&] { return draw_four(plan, parameter_writes, pack.first, at, rows, cols); });
    if (carried) keep_elements(shared.x + at, y);
  });
  if (!carried) return;
  block_barrier();
  const double sum = pack_squares(plan, shape, pack.count, shared);
  if (t == 0) scratch_at<double>(task, plan.parameter_sums)[number] = sum;
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

template <class Shape>
PLUMBLINE_FUNCTION void apply_packs(const Task& task, const Shape shape) {
  PLUMBLINE_DYNAMIC_SHARED(PackedShared, shared);
  // The last packs first: those are what the cache still holds.
  for (int64_t number = task.block; number < task.plan.packs; number += task.blocks)
    apply_pack(task, shape, *scalars_of(task), task.plan.packs - 1 - number, *shared);
}
PLUMBLINE_KERNEL(kPackedThreads, kPackedBlocksPerMultiprocessor)
apply_packed(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_DYNAMIC_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  with_pack_shape(task.plan, [&](const auto& shape) { apply_packs(task, shape); });
  end_packed_apply(task, scalars, *shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
