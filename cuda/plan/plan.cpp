#include "cuda/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "cuda/core/codec.h"
#include "cuda/core/projection.h"
#include "cuda/core/uniform.h"

namespace plumbline {
namespace {

constexpr int64_t kStateAlignment = 16, kWorkAlignment = 256;
constexpr int64_t kMaxExtent = int64_t(1) << 30, kMaxSize = int64_t(1) << 40;
static_assert(kMaxSize <= core::kMaxReduced * core::kMaxReduced);  // what is reduced is the smaller extent
constexpr size_t kMaxTensors = size_t(1) << 28;                    // 16 streams of random numbers each
constexpr int64_t kWaveBytes = int64_t(40) << 20;                  // work area that tensors of one wave share
constexpr int64_t kChunkBytes = int64_t(4) << 20;  // partial sums of a batch that are in scratch at once
constexpr int64_t kKeptNorms = int64_t(8)
                               << 20;  // carried norms that may stay in parts until the next step adds them up
constexpr int64_t kWaveSlices = 4096;  // a larger batch is a wave of its own
constexpr int64_t kRingTensors = 6;    // of the largest partial sums, that find place in a ring

int64_t align(int64_t bytes, int64_t to) { return core::ceil_div(bytes, to) * to; }

// Hands out offsets one after the other.
class Layout {
 public:
  explicit Layout(int64_t alignment, int64_t start = 0) : alignment_(alignment), end_(start) {}
  int64_t take(int64_t bytes) {
    const int64_t offset = align(end_, alignment_);
    end_ = offset + bytes;
    return offset;
  }
  int64_t end() const { return align(end_, alignment_); }

 private:
  int64_t alignment_, end_;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t extent : shape) text += fmt::format("{}{}", text.empty() ? "" : "x", extent);
  return text;
}

void check_spec(const TensorSpec& spec, size_t groups) {
  if (spec.shape.empty())
    throw OptionError(fmt::format("tensor '{}': shape has no axis, expected at least one", spec.name));
  int64_t size = 1;
  for (int64_t extent : spec.shape) {
    if (!(extent >= 1 && extent <= kMaxSize && size <= kMaxSize / extent)) {
      throw OptionError(fmt::format("tensor '{}': shape {}, expected extents >= 1 and at most {} elements", spec.name,
                                    shape_text(spec.shape), kMaxSize));
    }
    size *= extent;
  }
  if (!(spec.group >= 0 && size_t(spec.group) < groups)) {
    throw OptionError(fmt::format("tensor '{}': group {}, expected 0 to {}", spec.name, spec.group, groups - 1));
  }
  if (!(spec.parameter <= Type::float16 && spec.gradient <= Type::float16)) {
    throw OptionError(fmt::format("tensor '{}': type, expected float32, bfloat16 or float16", spec.name));
  }
}

// What the path does not have is left out.
core::Hyper make_hyper(const GroupOptions& o, Path path) {
  core::Hyper h = {};
  h.beta2_decay = o.beta2_decay;
  h.fixed_weight = o.beta2.has_value();
  h.beta2 = o.beta2.value_or(0.0);
  h.eps1 = float(o.eps1);
  h.eps2 = o.eps2;
  h.clip = o.clip;
  h.weight_decay = o.weight_decay;
  h.relative_step = o.relative_step;
  h.scale_parameter = o.scale_parameter;
  h.carried = o.scale_parameter && o.parameter_norm == ParameterNorm::carried;
  h.decay_by_lr = o.weight_decay_by == DecayScale::lr;
  h.maximize = o.maximize;
  h.momentum = o.beta1.has_value();
  h.beta1 = o.beta1.value_or(0.0);
  h.b1 = float(h.beta1);
  h.c1 = float(1.0 - h.beta1);
  h.momentum_of_update = h.momentum && o.momentum_of == MomentumOf::update;
  h.correct_bias = h.momentum && !o.relative_step;
  h.has_confidence = o.beta3.has_value() && path == Path::factored;
  if (h.has_confidence) h.confidence = core::round_weights<float>({1.0 - *o.beta3, *o.beta3}, float(o.eps_came));
  h.limiter = o.limiter_margin.has_value();
  h.limiter_margin = o.limiter_margin.value_or(0.0);
  h.projection_scale = path == Path::projected ? o.projection_scale : 1.0;
  h.projection_eps = float(o.projection_eps);
  h.scale_first = o.projection_scale_first;
  h.scale_by_tensor = o.projection_scale_by == ProjectionScale::tensor;
  h.projection_factored = o.projection_factored;
  return h;
}

// Storage, block and rounding of a slot as options ask for it.
struct SlotFormat {
  Storage storage;
  int block;
  Rounding rounding;
};
SlotFormat second_moment_format(const GroupOptions& o) { return {o.storage, o.block, o.rounding}; }
SlotFormat momentum_format(const GroupOptions& o) {
  const int automatic = o.momentum_storage == Storage::uf4 ? 128 : 256;
  return {o.momentum_storage, o.momentum_block == 0 ? automatic : o.momentum_block, o.momentum_rounding};
}

uint32_t stream_of(uint32_t tensor, int slot) {
  if (core::is_mutant(core::Mutant::stream_of_first_tensor)) tensor = 0;
  if (core::is_mutant(core::Mutant::tensor_number_wraps)) tensor = uint8_t(tensor);
  return tensor * 16u + uint32_t(slot);
}

// `rows` rows of `row` values a slice.
void lay_out_slot(TensorPlan& t, SlotKind kind, int64_t rows, int64_t row, SlotFormat format, Layout& state) {
  SlotPlan& slot = t.slot[int(kind)];
  slot.storage = format.storage;
  slot.rounding = format.storage == Storage::fp32 ? Rounding::nearest : format.rounding;
  slot.matrix = rows * row;
  slot.count = t.slices * slot.matrix;
  slot.row = row;
  slot.row_bytes = core::row_bytes(slot.storage, row);
  if (core::is_quantized(slot.storage)) {
    slot.block = format.block;
    slot.row_blocks = core::ceil_div(row, slot.block);
    slot.blocks = rows * slot.row_blocks;
  }
  slot.seed = t.seed;
  slot.stream = stream_of(t.index, int(kind));
  slot.values = state.take(t.slices * rows * slot.row_bytes);
  slot.scales = state.take(t.slices * slot.blocks * core::scale_words(slot.storage) * int64_t(sizeof(float)));
}

void check_extents(const TensorSpec& spec, int64_t rows, int64_t cols, std::string_view path) {
  if (rows <= kMaxExtent && cols <= kMaxExtent) return;
  throw OptionError(fmt::format("tensor '{}': shape {}, expected {} axes of at most {}", spec.name,
                                shape_text(spec.shape), path, kMaxExtent));
}

// Geometry of a matrix that is walked in strips.
void describe_matrix(TensorPlan& t, int64_t rows, int64_t cols) {
  t.rows = int32_t(rows);
  t.cols = int32_t(cols);
  t.strips = core::strip_count(t.rows);
  t.strip_rows = core::strip_rows(t.rows);
  t.column_tiles = int32_t(core::ceil_div(cols, core::kColumnTile));
  t.row_tiles = int32_t(core::ceil_div(rows, core::kRowTile));
  t.pitch = t.column_tiles * core::kColumnTile;
  t.panels = int32_t(core::ceil_div(cols, core::kPanel));
}

TensorPlan describe(const TensorSpec& spec, const GroupOptions& options, uint32_t index) {
  TensorPlan t;
  t.parameter = spec.parameter;
  t.gradient = spec.gradient;
  t.nonfinite = options.nonfinite;
  t.parameter_rounding = spec.parameter == Type::float32 ? Rounding::nearest : options.parameter_rounding;
  t.index = index;
  t.seed = uint32_t(options.seed);
  t.stream = stream_of(index, core::kParameterSlot);
  t.size = 1;
  for (int64_t extent : spec.shape) t.size *= extent;
  const size_t axes = spec.shape.size();
  const int64_t first = spec.shape[0], rest = t.size / first;
  if (options.projection_rank > 0 && axes >= 2 && std::min(first, rest) >= options.projection_rank) {
    t.path = Path::projected;
    t.slice = t.size;
    check_extents(spec, first, rest, "projected");
    describe_matrix(t, first, rest);
    t.rank = options.projection_rank;
    t.reduces_columns = t.rows >= t.cols;
    t.channels = t.reduces_columns ? t.rows : t.cols;
    t.reduced = t.reduces_columns ? t.cols : t.rows;
    t.low_rows = t.reduces_columns ? t.rows : t.rank;
    t.low_cols = t.reduces_columns ? t.rank : t.cols;
    t.refresh = options.projection_refresh;
    t.projection_seed = uint32_t(options.projection_seed);
  } else {
    const int64_t rows = axes >= 2 ? spec.shape[axes - 2] : 1, cols = spec.shape[axes - 1];
    t.slice = rows * cols;
    t.slices = t.size / t.slice;
    t.path = axes >= 2 && options.factored ? Path::factored : Path::full;
    if (t.path == Path::full) {
      t.flat_tiles = core::ceil_div(t.slice, core::kFlatTile);
    } else {
      check_extents(spec, rows, cols, "factored");
      describe_matrix(t, rows, cols);
    }
  }
  t.hyper = make_hyper(options, t.path);
  return t;
}

void lay_out_state(TensorPlan& t, const GroupOptions& options, Layout& state) {
  SlotFormat moment = second_moment_format(options), momentum = momentum_format(options);
  if (t.size < options.min_quantized_size) moment.storage = momentum.storage = Storage::fp32;
  t.clock = state.take(sizeof(core::TensorClock));
  const auto lay_out = [&](SlotKind kind, int64_t rows, int64_t row, SlotFormat format) {
    lay_out_slot(t, kind, rows, row, format, state);
  };
  const bool divided = t.hyper.momentum && (!t.hyper.momentum_of_update || t.hyper.has_confidence);
  if (divided && core::is_uniform(momentum.storage))
    t.hyper.levels = core::uniform_levels(momentum.storage, momentum.rounding);
  if (t.path == Path::projected) {
    if (t.hyper.momentum) lay_out(SlotKind::low_rank_momentum, t.low_rows, t.low_cols, momentum);
    if (t.hyper.projection_factored) {
      lay_out(SlotKind::low_rank_row, 1, t.low_rows, moment);
      lay_out(SlotKind::low_rank_col, 1, t.low_cols, moment);
    } else {
      lay_out(SlotKind::low_rank_second_moment, 1, int64_t(t.low_rows) * t.low_cols, moment);
    }
    return;
  }
  const bool factored = t.path == Path::factored;
  if (factored) {
    lay_out(SlotKind::row, 1, t.rows, moment);
    lay_out(SlotKind::col, 1, t.cols, moment);
  } else {
    lay_out(SlotKind::second_moment, 1, t.slice, moment);
  }
  if (t.hyper.momentum) lay_out(SlotKind::momentum, factored ? t.rows : 1, factored ? t.cols : t.slice, momentum);
  if (t.hyper.has_confidence) {
    lay_out(SlotKind::confidence_row, 1, t.rows, moment);
    lay_out(SlotKind::confidence_col, 1, t.cols, moment);
  }
}

// Sums of p^2 in panels, where they are kept from a step to the next; their bytes.
bool keeps_norm(const TensorPlan& t) { return t.path != Path::full && !t.packed && t.hyper.carried; }
int64_t norm_bytes(const TensorPlan& t) { return t.slices * t.norm_sums() * int64_t(sizeof(double)); }

// Bytes of one kind of partial sums, of a slice.
int64_t partial_bytes(const TensorPlan& t) { return int64_t(t.strips) * t.pitch * int64_t(sizeof(float)); }
int64_t chunk_of(const TensorPlan& t) { return std::clamp<int64_t>(kChunkBytes / (2 * partial_bytes(t)), 1, t.slices); }
bool can_be_ticketed(const TensorPlan& t, int sweep_columns) {
  return t.path == Path::factored && !t.packed && !t.hyper.momentum && t.cols <= sweep_columns &&
         t.slices <= kWaveSlices && chunk_of(t) == t.slices;
}

// Batches of small matrices, for a backend of blocks.
void choose_packed(std::vector<TensorPlan>& tensors, int sweep_columns) {
  if (sweep_columns == 0) return;
  for (TensorPlan& t : tensors) {
    const bool small = t.path == Path::full || (t.path == Path::factored && std::max(t.rows, t.cols) <= kPackedExtent);
    t.packed = small && !t.hyper.momentum && t.slices >= kPackedSlices && t.slice <= kPackedElements;
    if (!t.packed) continue;
    const int64_t lines = t.path == Path::factored ? std::max(t.rows, t.cols) : 1;
    t.pack = int32_t(std::bit_floor(
        uint64_t(std::min<int64_t>({kPackElements / t.slice, kPackLines / lines, int64_t(kPackMatrices)}))));
    t.packs = core::ceil_div(t.slices, t.pack);
  }
}

// What lasts until the next step where it is recorded, and else only while the tensor's wave is stepped.
void lay_out_recorded(TensorPlan& t, Layout& scratch) {
  constexpr int64_t word = sizeof(float);
  if (t.hyper.has_confidence) {
    t.confidence_row = scratch.take(t.slices * t.rows * word);
    t.confidence_col = scratch.take(t.slices * t.cols * word);
  }
  if (t.path == Path::projected) t.low_rank_gradient = scratch.take(int64_t(t.low_rows) * t.low_cols * word);
}

void lay_out_lasting(TensorPlan& t, bool record, Layout& scratch) {
  constexpr int64_t word = sizeof(float);
  t.scalars = scratch.take(sizeof(core::StepScalars));
  t.done = scratch.take((t.packed ? 2 : t.slices + 1) * int64_t(sizeof(uint32_t)));
  t.nonfinite_count = scratch.take(sizeof(uint64_t));
  t.norm_pending = scratch.take(sizeof(uint32_t));
  if (t.ticketed) t.arrivals = scratch.take(2 * sizeof(uint32_t));
  if (t.path == Path::factored) {
    t.row = scratch.take(t.slices * t.rows * word);
    t.col = scratch.take(t.slices * t.cols * word);
  }
  if (keeps_norm(t) && !t.settles) t.parameter_sums = scratch.take(norm_bytes(t));
  if (record) lay_out_recorded(t, scratch);
  if (t.path == Path::projected) {
    t.channel_scale = scratch.take((t.hyper.scale_by_tensor ? 1 : t.channels) * word);
    if (t.hyper.projection_factored) {
      t.low_rank_row = scratch.take(t.low_rows * word);
      t.low_rank_col = scratch.take(t.low_cols * word);
    }
  }
  if (!record) return;
  const auto keep = [&](int64_t& offset, SlotKind kind) {
    if (t.slot[int(kind)].count != 0) offset = scratch.take(t.slot[int(kind)].count * word);
  };
  keep(t.second_moment, SlotKind::second_moment);
  keep(t.momentum, SlotKind::momentum);
  keep(t.low_rank_momentum, SlotKind::low_rank_momentum);
  keep(t.low_rank_second_moment, SlotKind::low_rank_second_moment);
}

void lay_out_work(TensorPlan& t, bool record, Layout& work) {
  constexpr int64_t word = sizeof(float), dword = sizeof(double);
  if (!record) lay_out_recorded(t, work);
  if (t.packed) {
    t.update_sums = work.take(t.packs * dword);
    t.parameter_sums = work.take(t.packs * dword);
    return;
  }
  t.slice_sums = work.take(kSliceSums * t.slices * dword);
  t.slice_step = work.take(t.slices * word);
  if (t.path == Path::full) {
    t.update_sums = work.take(t.slices * t.flat_tiles * dword);
    t.parameter_sums = work.take(t.slices * t.flat_tiles * dword);
    return;
  }
  if (!keeps_norm(t) || t.settles) t.parameter_sums = work.take(norm_bytes(t));
  t.row_tile_sums = work.take(2 * t.slices * t.row_tiles * dword);
  if (t.path == Path::projected) {
    t.channel_sums = work.take(3 * t.channels * dword);
    t.channel_step = work.take(t.channels * word);
    t.low_rank_update = work.take(int64_t(t.low_rows) * t.low_cols * word);
    t.low_rank_row_used = t.low_rank_row;
    t.low_rank_col_used = t.low_rank_col;
    if (t.hyper.projection_factored && t.resolves_moment()) {
      t.low_rank_row_used = work.take(t.low_rows * word);
      t.low_rank_col_used = work.take(t.low_cols * word);
    }
    t.projection_entries = work.take(core::projection_bytes(t.reduced, t.rank));
    const int64_t parts = t.reduces_columns ? int64_t(t.rows) * t.panels : int64_t(t.strips) * t.cols;
    (t.reduces_columns ? t.channel_panels : t.channel_strips) = work.take(parts * dword);
    t.channel_largest = work.take(parts * word);
    return;
  }
  t.col_scale = work.take(t.slices * t.pitch * word);
  t.norm_tiles = work.take(t.slices * t.column_tiles * dword);
  if (t.hyper.has_confidence) t.confidence_scale = work.take(t.slices * t.pitch * word);
  if (core::limits_later(t.hyper) && !t.hyper.has_confidence)
    t.momentum_sums = work.take(t.slices * t.rows * t.panels * dword);
  t.chunk = chunk_of(t);
  t.row_used = t.resolves_moment() ? work.take(t.slices * t.rows * word) : t.row;
  t.confidence_row_used = t.resolves_confidence() ? work.take(t.slices * t.rows * word) : t.confidence_row;
  if (t.hyper.levels > 0.0f) {
    t.panel_resolution = work.take(t.chunk * t.rows * t.panels * word);
    t.partial_resolution = work.take(t.chunk * partial_bytes(t) / 8);
  }
  if (!t.ticketed) {
    t.partial_col = work.take(t.chunk * partial_bytes(t));
    t.partial_weighted = work.take(t.chunk * partial_bytes(t));
  }
  if (t.panels > 1 || t.hyper.momentum) t.panel_rows = work.take(t.chunk * t.rows * t.panels * word);
}

// Tensors of one kind take the same kernels, in the same order.
using Kind = std::tuple<Path, bool, bool, Type, Type, ptrdiff_t, bool, bool, bool, bool, bool, bool, bool>;
Kind kind_of(const TensorPlan& t) {
  if (t.packed)
    return {t.path, true, false, Type::float32, Type::float32, 0, false, false, false, false, false, false, false};
  constexpr int kWidths[] = {1024, 4096, 8192, 12288, 16384};  // up to which a form of the sweep takes a row
  const auto width = std::lower_bound(std::begin(kWidths), std::end(kWidths), t.cols) - std::begin(kWidths);
  const core::Hyper& h = t.hyper;
  return {t.path,
          false,
          t.ticketed,
          t.gradient,
          t.parameter,
          t.path == Path::factored    ? width
          : t.path == Path::projected ? core::projection_ranks(t.rank)
                                      : 0,
          h.momentum,
          h.momentum_of_update,
          h.has_confidence,
          h.limiter,
          h.scale_parameter && !h.carried,
          t.nonfinite == Nonfinite::skip && h.momentum,
          t.path == Path::projected && h.projection_factored};
}

// Tickets are for several tensors of a kind.
void choose_ticketed(std::vector<TensorPlan>& tensors, int sweep_columns) {
  std::map<Kind, int> count;
  for (TensorPlan& t : tensors) {
    t.ticketed = can_be_ticketed(t, sweep_columns);
    if (t.ticketed) ++count[kind_of(t)];
  }
  for (TensorPlan& t : tensors) t.ticketed = t.ticketed && count[kind_of(t)] > 1;
}

// Work areas of a wave by tickets; returns where they end.
int64_t lay_out_ring(std::vector<TensorPlan>& tensors, std::span<const int> wave, bool record, int64_t base) {
  const auto bytes = [](const TensorPlan& t) { return 2 * t.slices * partial_bytes(t); };
  Layout work(kWorkAlignment, base);
  int64_t largest = 0, all = 0;
  for (const int i : wave) {
    TensorPlan& t = tensors[size_t(i)];
    lay_out_work(t, record, work);
    largest = std::max(largest, bytes(t));
    all += bytes(t);
  }
  const int64_t size = std::min(kRingTensors * largest, all), ring = work.take(size);
  std::vector<int64_t> starts;
  int64_t start = 0;
  int left = 0;  // tensors that are known to have left the ring
  for (const int i : wave) {
    TensorPlan& t = tensors[size_t(i)];
    if (start + bytes(t) > size) start = 0;
    for (int u = int(starts.size()); u > left; --u) {
      const int64_t other = starts[size_t(u - 1)], end = other + bytes(tensors[size_t(wave[size_t(u - 1)])]);
      if (other < start + bytes(t) && start < end) left = u;
    }
    t.ring_order = int32_t(starts.size());
    t.ring_after = left;
    t.partial_col = ring + start;
    t.partial_weighted = t.partial_col + bytes(t) / 2;
    starts.push_back(start);
    start += bytes(t);
  }
  return work.end();
}

}  // namespace

std::string_view slot_name(SlotKind kind) {
  constexpr std::string_view kNames[kSlots] = {"row",
                                               "col",
                                               "second_moment",
                                               "momentum",
                                               "confidence_row",
                                               "confidence_col",
                                               "low_rank_momentum",
                                               "low_rank_second_moment",
                                               "low_rank_row",
                                               "low_rank_col"};
  return kNames[int(kind)];
}

Plan make_plan(std::span<const TensorSpec> tensors, std::span<const GroupOptions> groups, bool record_second_moment,
               int sweep_columns) {
  if (tensors.empty()) throw OptionError("tensors: none given, expected at least one");
  if (tensors.size() >= kMaxTensors)
    throw OptionError(fmt::format("tensors: {} given, expected fewer than {}", tensors.size(), kMaxTensors));
  if (groups.empty()) throw OptionError("groups: none given, expected at least one");
  Plan plan;
  for (const GroupOptions& group : groups) {
    validate(group);
    plan.lr.push_back(group.lr);
  }
  Layout state(kStateAlignment), scratch(kStateAlignment);
  const int64_t lr = state.take(int64_t(groups.size() * sizeof(double)));
  plan.multiplier = state.take(2 * sizeof(float));
  plan.given_multiplier = plan.multiplier + int64_t(sizeof(float));
  for (const TensorSpec& spec : tensors) {
    check_spec(spec, groups.size());
    const auto group = core::is_mutant(core::Mutant::options_of_first_group) ? 0 : size_t(spec.group);
    plan.tensors.push_back(describe(spec, groups[group], uint32_t(plan.tensors.size())));
    plan.names.push_back(spec.name);
  }
  choose_packed(plan.tensors, sweep_columns);
  choose_ticketed(plan.tensors, sweep_columns);
  int64_t norms = 0;
  for (const TensorPlan& t : plan.tensors) norms += keeps_norm(t) ? norm_bytes(t) : 0;
  const bool any =
      std::any_of(plan.tensors.begin(), plan.tensors.end(), [](const TensorPlan& t) { return t.ticketed; });
  const int64_t tickets = any ? scratch.take(sizeof(TicketCounters)) : 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    TensorPlan& t = plan.tensors[i];
    t.settles = keeps_norm(t) && norms > kKeptNorms;
    t.multiplier = plan.multiplier;
    t.tickets = tickets;
    t.lr = lr + tensors[i].group * int64_t(sizeof(double));
    lay_out_state(t, groups[size_t(tensors[i].group)], state);
    lay_out_lasting(t, record_second_moment, scratch);
  }
  // Work areas: a wave takes tensors of one kind while they fit beside each other, and every wave starts at the same
  // place.
  plan.order.resize(plan.tensors.size());
  std::iota(plan.order.begin(), plan.order.end(), 0);
  const auto kind = [&](int i) { return kind_of(plan.tensors[size_t(i)]); };
  std::stable_sort(plan.order.begin(), plan.order.end(), [&](int a, int b) { return kind(a) < kind(b); });
  const int64_t base = align(scratch.end(), kWorkAlignment);
  int64_t end = base;
  Layout work(kWorkAlignment, base);
  for (int at = 0; at < int(plan.order.size()); ++at) {
    TensorPlan trial = plan.tensors[size_t(plan.order[size_t(at)])];
    if (trial.ticketed) {
      const auto same = [&](int i) { return kind(i) == kind_of(trial); };
      const auto last = std::find_if_not(plan.order.begin() + at, plan.order.end(), same);
      plan.waves.push_back({at, int(last - plan.order.begin())});
      end = std::max(end,
                     lay_out_ring(plan.tensors, std::span(plan.order.begin() + at, last), record_second_moment, base));
      at = plan.waves.back().last - 1;
      continue;
    }
    Layout together = work;
    lay_out_work(trial, record_second_moment, together);
    const auto fills = [](const TensorPlan& t) { return !t.packed && t.slices > kWaveSlices; };
    const bool alone = fills(trial) || (at > 0 && kind(plan.order[size_t(at)]) != kind(plan.order[size_t(at - 1)])) ||
                       (at > 0 && fills(plan.tensors[size_t(plan.order[size_t(at - 1)])]));
    if (at == 0 || alone || together.end() - base > kWaveBytes) {
      plan.waves.push_back({at, at});
      together = Layout(kWorkAlignment, base);
      lay_out_work(trial, record_second_moment, together);
    }
    plan.tensors[size_t(plan.order[size_t(at)])] = trial;
    plan.waves.back().last = at + 1;
    work = together;
    end = std::max(end, work.end());
  }
  plan.state_bytes = size_t(align(state.end(), kWorkAlignment));
  plan.scratch_bytes = size_t(end);
  return plan;
}

std::vector<std::byte> Plan::initial_state() const {
  std::vector<std::byte> bytes(state_bytes);
  std::memcpy(bytes.data(), lr.data(), lr.size() * sizeof(double));
  const float one = 1.0f;
  for (const int64_t at : {multiplier, given_multiplier}) std::memcpy(bytes.data() + at, &one, sizeof one);
  for (const TensorPlan& t : tensors) {
    for (const SlotPlan& slot : t.slot) {
      if (slot.count == 0 || core::is_uniform(slot.storage)) continue;  // a scale of 0
      const core::BlockScale zeros = core::block_scale(slot.storage, core::BlockRange{});
      const float stored[2] = {zeros.lo, zeros.r};
      const int words = core::scale_words(slot.storage);
      float* scale = core::at<float>(bytes.data(), slot.scales);
      for (int64_t b = 0; b < t.slices * slot.blocks; ++b, scale += words) std::copy_n(stored, words, scale);
    }
  }
  return bytes;
}

}  // namespace plumbline
