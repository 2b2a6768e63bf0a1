// Packs of factored matrices (packed.cuh). Where the compiler knows the extents a thread takes a whole matrix; any
// other shape goes by lines: a thread a row, then a thread a column, then a thread a matrix.
#pragma once
#include "cuda/kernels/packed.cuh"

namespace plumbline::PLUMBLINE_TARGET {

// Extents of a matrix; those that are not 0 are known to the compiler.
template <int Rows, int Cols>
struct PackShape {
  static constexpr bool kKnown = Rows != 0;
  static constexpr int kRows = Rows, kCols = Cols;
  static constexpr int kMostRows = Rows == 0 ? kPackedExtent : Rows <= 1 ? 1 : 4;
  static constexpr int kMostCols = Cols == 0 ? kPackedExtent : Cols <= 1 ? 1 : 4;
  static_assert(Rows <= kMostRows && Cols <= kMostCols);
  int given_rows, given_cols;
  PLUMBLINE_DEVICE int rows() const { return Rows != 0 ? Rows : given_rows; }
  PLUMBLINE_DEVICE int cols() const { return Cols != 0 ? Cols : given_cols; }
  PLUMBLINE_DEVICE int elements() const { return rows() * cols(); }
};
PLUMBLINE_HD bool has_shape(const TensorPlan& plan, int rows, int cols) {
  return plan.rows == rows && plan.cols == cols;
}

// sum x^2 of a pack, T over columns, rows, matrices; behind a barrier.
template <class Shape>
PLUMBLINE_DEVICE double pack_squares(const TensorPlan& plan, const Shape& shape, int count, PackedShared& shared) {
  const int rows = shape.rows(), cols = shape.cols();
  if constexpr (Shape::kKnown) {
    return matrix_tree(plan, count, shared, [&](int m) {
      return short_tree<double, Shape::kMostRows>(rows, [&](int i) {
        const float* const x = shared.x + (m * rows + i) * cols;
        return short_tree<double, Shape::kMostCols>(cols, [&](int j) { return core::norm_square(x[j]); });
      });
    });
  } else {
    for (int item = thread_index(); item < count * rows; item += kPackedThreads) {
      const float* const x = shared.x + item * cols;
      shared.sums[item] = short_tree<double, Shape::kMostCols>(cols, [&](int j) { return core::norm_square(x[j]); });
    }
    block_barrier();
    return matrix_tree(plan, count, shared, [&](int m) {
      return short_tree<double, Shape::kMostRows>(rows, [&](int i) { return shared.sums[m * rows + i]; });
    });
  }
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

// Value `index` of a slice as the last step stored it: with little code for what is common.
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

// All N of a slice, whose blocks' scales are read once.
template <int N>
PLUMBLINE_DEVICE void old_averages(const SlotPlan& slot, const std::byte* state, int64_t slice, uint32_t writes,
                                   float (&old)[N]) {
  const int64_t at = slice * N;
  if (slot.storage == Storage::al8 && slot.rounding == Rounding::nearest) {
    const auto scale = unpack<float, 2>(load<8>(core::at<const float>(state, slot.scales) + 2 * slice));
    const core::BlockDecoder decoder = core::block_decoder(Storage::al8, {scale.x[0], scale.x[1]});
    PLUMBLINE_UNROLL
    for (int i = 0; i < N; ++i)
      old[i] = core::decode_log(float(int(core::at<const uint8_t>(state, slot.values)[at + i])), decoder);
    return;
  }
  PLUMBLINE_UNROLL
  for (int i = 0; i < N; ++i)
    old[i] = slot.storage == Storage::fp32 ? core::at<const float>(state, slot.values)[at + i]
                                           : any_old_value(slot, state, slice, i, writes);
}
// Whether row and column of a 1x1 matrix are the same stored bits, and so the same values: that is what steps make of
// them, though not an import.
PLUMBLINE_DEVICE bool are_alike(const SlotPlan& row, const SlotPlan& col, const std::byte* state, int64_t slice) {
  if (row.storage != Storage::al8 || row.rounding != Rounding::nearest) return false;
  const auto a = load<8>(core::at<const float>(state, row.scales) + 2 * slice),
             b = load<8>(core::at<const float>(state, col.scales) + 2 * slice);
  return a.word[0] == b.word[0] && a.word[1] == b.word[1] &&
         core::at<const uint8_t>(state, row.values)[slice] == core::at<const uint8_t>(state, col.values)[slice];
}

// Averages of matrix m of a pack, and its sum u^2.
template <class Shape>
PLUMBLINE_DEVICE double sweep_matrix(const Task& task, const Pack& pack, int m, const core::Weights<float>& weights,
                                     uint32_t writes, const PackedShared& shared) {
  constexpr int kRows = Shape::kRows, kCols = Shape::kCols;
  const TensorPlan& plan = task.plan;
  const SlotPlan &row_slot = slot_of(task, SlotKind::row), &col_slot = slot_of(task, SlotKind::col);
  const int64_t slice = pack.first + m;
  const float* const x = shared.x + m * kRows * kCols;
  const bool alike = kRows == 1 && kCols == 1 && are_alike(row_slot, col_slot, task.state, slice);
  float row[kRows], inverse[kRows], col[kCols];
  old_averages(row_slot, task.state, slice, writes, row);
  if (alike)
    col[0] = row[0];
  else
    old_averages(col_slot, task.state, slice, writes, col);
  const auto columns_counted = float(core::is_mutant(core::Mutant::padded_count) ? plan.pitch : kCols);
  float* const row_average = scratch_at<float>(task, plan.row) + slice * kRows;
  PLUMBLINE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const float sum = short_tree<float, Shape::kMostCols>(kCols, [&](int j) { return core::square(x[i * kCols + j]); });
    row[i] = core::perturbed(core::PerturbedStage::row, core::average(row[i], sum, columns_counted, weights));
    row_average[i] = core::canonical(row[i]);
    inverse[i] = core::inverse_row(row[i]);
  }
  float* const col_average = scratch_at<float>(task, plan.col) + slice * kCols;
  double terms[kCols];
  PLUMBLINE_UNROLL
  for (int j = 0; j < kCols; ++j) {
    const StripSums sums = strip_tree<1>(x + j, kCols, inverse, kRows);
    col[j] = core::perturbed(core::PerturbedStage::col, core::average(col[j], sums.col, float(kRows), weights));
    col_average[j] = core::canonical(col[j]);
    terms[j] = core::norm_term(sums.weighted, col[j]);
  }
  const double mean =
      core::mean_row(short_tree<double, Shape::kMostRows>(kRows, [&](int i) { return double(row[i]); }), kRows);
  return core::slice_update_sum(mean, short_tree<double, Shape::kMostCols>(kCols, [&](int j) { return terms[j]; }));
}

// By lines, all matrices of a pack; their sum u^2. The parameter takes the gradient's place behind the last barrier but
// one.
template <class Shape>
PLUMBLINE_DEVICE double sweep_lines(const Task& task, const Shape& shape, const Pack& pack,
                                    const core::Weights<float>& weights, uint32_t writes, bool reads_parameter,
                                    PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), rows = shape.rows(), cols = shape.cols(), elements = shape.elements();
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

  if (reads_parameter) stage_parameter(task, pack.first * elements, pack.count * elements, shared);
  return matrix_tree(plan, pack.count, shared, [&](int m) {
    const double mean = core::mean_row(
        short_tree<double, Shape::kMostRows>(rows, [&](int i) { return double(shared.row[m * rows + i]); }), rows);
    return core::slice_update_sum(
        mean, short_tree<double, Shape::kMostCols>(cols, [&](int j) { return shared.sums[m * cols + j]; }));
  });
}

template <class Shape>
PLUMBLINE_DEVICE void sweep_pack(const Task& task, const Shape& shape, const core::Weights<float>& weights,
                                 uint32_t writes, float multiplier, bool reads_parameter, int64_t number,
                                 uint32_t& found, PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const Pack pack(plan, number);
  const int64_t first = pack.first * shape.elements();
  const int n = pack.count * shape.elements();
  stage_gradient(task, first, n, multiplier, plan.nonfinite == Nonfinite::zero, found, shared);
  block_barrier();
  double update;
  if constexpr (Shape::kKnown) {
    update = matrix_tree(plan, pack.count, shared,
                         [&](int m) { return sweep_matrix<Shape>(task, pack, m, weights, writes, shared); });
    if (reads_parameter) {
      stage_parameter(task, first, n, shared);
      block_barrier();
    }
  } else {
    update = sweep_lines(task, shape, pack, weights, writes, reads_parameter, shared);
  }
  if (thread_index() == 0) scratch_at<double>(task, plan.update_sums)[number] = update;
  if (!reads_parameter) return;
  const double parameter = pack_squares(plan, shape, pack.count, shared);
  if (thread_index() == 0) scratch_at<double>(task, plan.parameter_sums)[number] = parameter;
}

template <int Rows, int Cols>
PLUMBLINE_KERNEL(kPackedThreads, kPackedBlocksPerMultiprocessor)
sweep_packed(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  const PackShape<Rows, Cols> shape = {task.plan.rows, task.plan.cols};
  const core::StepScalars& scalars = *scalars_of(task);
  const core::Weights<float> weights = scalars.weights;
  const uint32_t writes = scalars.writes;
  const float multiplier = scalars.multiplier;
  const bool reads_parameter = scalars.reads_parameter != 0;
  uint32_t found = 0;
  for (int64_t number = task.block; number < task.plan.packs; number += task.blocks)
    sweep_pack(task, shape, weights, writes, multiplier, reads_parameter, number, found, shared);
  end_packed_sweep(task, reads_parameter, found, shared);
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

// The codes of N averages, and their scale.
template <int N>
PLUMBLINE_DEVICE core::BlockScale encode_averages(const SlotPlan& slot, int64_t slice, const float (&v)[N],
                                                  uint32_t writes, uint32_t (&codes)[N]) {
  core::BlockRange range;
  PLUMBLINE_UNROLL
  for (int i = 0; i < N; ++i) core::include(range, v[i]);
  const core::BlockScale scale = core::block_scale(slot.storage, range);
  const bool quick = takes_quick_codes(slot) && range.low + 1u >= kQuickLow && range.high <= kQuickHigh;
  const QuickEncoder encoder = quick_encoder(slot.storage, scale);
  PLUMBLINE_UNROLL
  for (int i = 0; i < N; ++i)
    if (!(quick && core::to_bits(v[i]) >= kQuickLow && quick_code(v[i], encoder, codes[i])))
      codes[i] = any_code(slot, slice, i, v[i], scale, writes);
  return scale;
}

// State of matrix m of a pack, a_i and b_j.
template <class Shape>
PLUMBLINE_DEVICE void commit_matrix(const Task& task, const Pack& pack, int m, double applied, uint32_t writes,
                                    PackedShared& shared) {
  constexpr int kRows = Shape::kRows, kCols = Shape::kCols;
  const TensorPlan& plan = task.plan;
  const SlotPlan &row_slot = slot_of(task, SlotKind::row), &col_slot = slot_of(task, SlotKind::col);
  const int64_t slice = pack.first + m;
  const float* const rows = scratch_at<const float>(task, plan.row);
  float row[kRows], col[kCols];
  PLUMBLINE_UNROLL
  for (int i = 0; i < kRows; ++i) row[i] = rows[slice * kRows + i];
  PLUMBLINE_UNROLL
  for (int j = 0; j < kCols; ++j) col[j] = scratch_at<const float>(task, plan.col)[slice * kCols + j];

  const bool others =
      core::is_mutant(core::Mutant::pack_shares_step) || core::is_mutant(core::Mutant::slices_share_mean);
  const int64_t of = core::is_mutant(core::Mutant::slices_share_mean) ? 0 : pack.first;
  const double sum = short_tree<double, Shape::kMostRows>(
      kRows, [&](int i) { return double(others ? rows[of * kRows + i] : row[i]); });
  const auto k = float(core::step_coefficient(applied, core::mean_row(sum, kRows)));
  PLUMBLINE_UNROLL
  for (int i = 0; i < kRows; ++i)
    shared.row[m * kRows + i] = core::row_scale(
        k, core::is_mutant(core::Mutant::neighbour_row) && i + 1 < kRows ? rows[slice * kRows + i + 1] : row[i]);
  PLUMBLINE_UNROLL
  for (int j = 0; j < kCols; ++j)
    shared.col[m * kCols + j] = core::col_scale(
        core::is_mutant(core::Mutant::neighbour_column) && j + 1 < kCols ? col[j + 1 < kCols ? j + 1 : j] : col[j]);

  if (!core::is_quantized(row_slot.storage)) {
    PLUMBLINE_UNROLL
    for (int i = 0; i < kRows; ++i) core::at<float>(task.state, row_slot.values)[slice * kRows + i] = row[i];
    PLUMBLINE_UNROLL
    for (int j = 0; j < kCols; ++j) core::at<float>(task.state, col_slot.values)[slice * kCols + j] = col[j];
    return;
  }
  uint32_t row_codes[kRows], col_codes[kCols];
  const core::BlockScale row_range = encode_averages(row_slot, slice, row, writes, row_codes);
  core::BlockScale col_range = row_range;
  // of 1x1 matrices mostly the same value, and the same code where that is not drawn
  if (kRows == 1 && kCols == 1 && row_slot.rounding == Rounding::nearest &&
      core::to_bits(row[0]) == core::to_bits(col[0]))
    col_codes[0] = row_codes[0];
  else
    col_range = encode_averages(col_slot, slice, col, writes, col_codes);
  store_scale(row_slot, task.state, slice, row_range, writes);
  store_scale(col_slot, task.state, slice, col_range, writes);
  PLUMBLINE_UNROLL
  for (int i = 0; i < kRows; ++i) store_code(row_slot, task.state, slice * kRows + i, row_codes[i]);
  PLUMBLINE_UNROLL
  for (int j = 0; j < kCols; ++j) store_code(col_slot, task.state, slice * kCols + j, col_codes[j]);
}

// The same of all matrices of a pack by lines, with a barrier between.
template <class Shape>
PLUMBLINE_DEVICE void commit_lines(const Task& task, const Shape& shape, const Pack& pack, double applied,
                                   uint32_t writes, PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const int t = thread_index(), rows = shape.rows(), cols = shape.cols();
  const float* const row_average = scratch_at<const float>(task, plan.row) + pack.first * rows;
  const float* const col_average = scratch_at<const float>(task, plan.col) + pack.first * cols;
  const SlotPlan &row_slot = slot_of(task, SlotKind::row), &col_slot = slot_of(task, SlotKind::col);
  const bool coded = core::is_quantized(row_slot.storage), quick = takes_quick_codes(row_slot);

  // k of every matrix, and the scales of its averages
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
}

template <class Shape>
PLUMBLINE_DEVICE void apply_pack(const Task& task, const Shape& shape, const core::StepScalars& scalars, int64_t number,
                                 PackedShared& shared) {
  const TensorPlan& plan = task.plan;
  const Pack pack(plan, number);
  const int t = thread_index(), rows = shape.rows(), cols = shape.cols(), elements = shape.elements();
  const int64_t first = pack.first * elements;
  const int whole = pack.count * elements;
  stage_parameter(task, first, whole, shared);  // where the same threads update it

  if constexpr (Shape::kKnown) {
    for (int m = t; m < pack.count; m += kPackedThreads)
      commit_matrix<Shape>(task, pack, m, scalars.applied, scalars.writes, shared);
  } else {
    commit_lines(task, shape, pack, scalars.applied, scalars.writes, shared);
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

template <int Rows, int Cols>
PLUMBLINE_KERNEL(kPackedThreads, kPackedBlocksPerMultiprocessor)
apply_packed(const Launch launch) {
  PLUMBLINE_SHARED(PlanShared, plan_shared);
  PLUMBLINE_SHARED(PackedShared, shared);
  const Task task = open_task(launch, plan_shared);
  const PackShape<Rows, Cols> shape = {task.plan.rows, task.plan.cols};
  const core::StepScalars& scalars = *scalars_of(task);
  if (scalars.skipped) return;
  // The last packs first: those are what the cache still holds.
  for (int64_t number = task.block; number < task.plan.packs; number += task.blocks)
    apply_pack(task, shape, scalars, task.plan.packs - 1 - number, shared);
  end_packed_apply(task, scalars, shared);
}

}  // namespace plumbline::PLUMBLINE_TARGET
