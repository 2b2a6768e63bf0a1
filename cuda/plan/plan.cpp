#include "cuda/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cuda/core/codec.h"

namespace plumbline {
namespace {

constexpr int64_t kStateAlignment = 16, kWorkAlignment = 256;
constexpr int64_t kMaxExtent = int64_t(1) << 30, kMaxSize = int64_t(1) << 40;
constexpr int64_t kWaveBytes = int64_t(4) << 20;  // work area that many small tensors may share

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

core::Hyper make_hyper(const GroupOptions& o) {
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
  return h;
}

void lay_out_slot(SlotPlan& slot, int64_t slices, int64_t matrix, Storage storage, int block, Layout& state) {
  slot.storage = storage;
  slot.count = slices * matrix;
  slot.matrix = matrix;
  if (core::is_quantized(storage)) {
    slot.block = block;
    slot.blocks = core::ceil_div(matrix, block);
  }
  slot.values = state.take(slot.count * int64_t(core::is_quantized(storage) ? sizeof(uint8_t) : sizeof(float)));
  slot.scales = state.take(slices * slot.blocks * core::scale_words(storage) * int64_t(sizeof(float)));
}

TensorPlan describe(const TensorSpec& spec, const GroupOptions& options) {
  TensorPlan t;
  t.parameter = spec.parameter;
  t.gradient = spec.gradient;
  t.nonfinite = options.nonfinite;
  t.hyper = make_hyper(options);
  t.size = 1;
  for (int64_t extent : spec.shape) t.size *= extent;
  const size_t axes = spec.shape.size();
  const int64_t rows = axes >= 2 ? spec.shape[axes - 2] : 1, cols = spec.shape[axes - 1];
  t.slice = rows * cols;
  t.slices = t.size / t.slice;
  t.path = axes >= 2 && options.factored ? Path::factored : Path::full;
  if (t.path == Path::full) {
    t.flat_tiles = core::ceil_div(t.slice, core::kFlatTile);
    return t;
  }
  if (!(rows <= kMaxExtent && cols <= kMaxExtent)) {
    throw OptionError(fmt::format("tensor '{}': shape {}, expected factored axes of at most {}", spec.name,
                                  shape_text(spec.shape), kMaxExtent));
  }
  t.rows = int32_t(rows);
  t.cols = int32_t(cols);
  t.strips = core::strip_count(t.rows);
  t.strip_rows = core::strip_rows(t.rows);
  t.column_tiles = int32_t(core::ceil_div(cols, core::kColumnTile));
  t.row_tiles = int32_t(core::ceil_div(rows, core::kRowTile));
  t.pitch = t.column_tiles * core::kColumnTile;
  t.panels = int32_t(core::ceil_div(cols, core::kPanel));
  return t;
}

void lay_out_state(TensorPlan& t, const GroupOptions& options, Layout& state) {
  const Storage storage = t.size < options.min_quantized_size ? Storage::fp32 : options.storage;
  t.clock = state.take(sizeof(core::TensorClock));
  const auto lay_out = [&](SlotKind kind, int64_t matrix) {
    lay_out_slot(t.slot[int(kind)], t.slices, matrix, storage, options.block, state);
  };
  if (t.path == Path::factored) {
    lay_out(SlotKind::row, t.rows);
    lay_out(SlotKind::col, t.cols);
  } else {
    lay_out(SlotKind::second_moment, t.slice);
  }
}

void lay_out_lasting(TensorPlan& t, bool record_second_moment, Layout& scratch) {
  t.scalars = scratch.take(sizeof(core::StepScalars));
  t.done = scratch.take((t.slices + 1) * int64_t(sizeof(uint32_t)));
  t.nonfinite_count = scratch.take(sizeof(uint64_t));
  t.norm_pending = scratch.take(sizeof(uint32_t));
  if (t.path == Path::factored) {
    t.row = scratch.take(t.slices * t.rows * int64_t(sizeof(float)));
    t.col = scratch.take(t.slices * t.cols * int64_t(sizeof(float)));
    if (t.hyper.carried) t.parameter_sums = scratch.take(t.slices * t.rows * t.panels * int64_t(sizeof(double)));
  } else if (record_second_moment) {
    t.second_moment = scratch.take(t.size * int64_t(sizeof(float)));
  }
}

void lay_out_work(TensorPlan& t, Layout& work) {
  constexpr int64_t word = sizeof(float), dword = sizeof(double);
  t.slice_sums = work.take(3 * t.slices * dword);
  t.slice_step = work.take(t.slices * word);
  if (t.path == Path::full) {
    t.update_sums = work.take(t.slices * t.flat_tiles * dword);
    t.parameter_sums = work.take(t.slices * t.flat_tiles * dword);
    return;
  }
  if (!t.hyper.carried) t.parameter_sums = work.take(t.slices * t.rows * t.panels * dword);
  t.col_scale = work.take(t.slices * t.pitch * word);
  t.norm_tiles = work.take(t.slices * t.column_tiles * dword);
  t.row_tile_sums = work.take(2 * t.slices * t.row_tiles * dword);
  const int64_t partial = int64_t(t.strips) * t.pitch * word;  // bytes of one slice
  t.chunk = std::clamp<int64_t>(kWaveBytes / (2 * partial), 1, t.slices);
  t.partial_col = work.take(t.chunk * partial);
  t.partial_weighted = work.take(t.chunk * partial);
  if (t.panels > 1) t.panel_rows = work.take(t.chunk * t.rows * t.panels * word);
}

}  // namespace

std::string_view slot_name(SlotKind kind) {
  return kind == SlotKind::row ? "row" : kind == SlotKind::col ? "col" : "second_moment";
}

Plan make_plan(std::span<const TensorSpec> tensors, std::span<const GroupOptions> groups, bool record_second_moment) {
  if (tensors.empty()) throw OptionError("tensors: none given, expected at least one");
  if (groups.empty()) throw OptionError("groups: none given, expected at least one");
  Plan plan;
  for (const GroupOptions& group : groups) {
    validate(group);
    plan.lr.push_back(group.lr);
  }
  Layout state(kStateAlignment), scratch(kStateAlignment);
  const int64_t lr = state.take(int64_t(groups.size() * sizeof(double)));
  for (const TensorSpec& spec : tensors) {
    check_spec(spec, groups.size());
    const GroupOptions& options = groups[size_t(spec.group)];
    TensorPlan t = describe(spec, options);
    t.lr = lr + spec.group * int64_t(sizeof(double));
    lay_out_state(t, options, state);
    lay_out_lasting(t, record_second_moment, scratch);
    plan.tensors.push_back(t);
    plan.names.push_back(spec.name);
  }
  // Work areas: a wave takes tensors while they fit beside each other, and every wave starts at the same place.
  const int64_t base = align(scratch.end(), kWorkAlignment);
  int64_t end = base;
  Layout work(kWorkAlignment, base);
  for (int i = 0; i < int(plan.tensors.size()); ++i) {
    TensorPlan trial = plan.tensors[size_t(i)];
    Layout together = work;
    lay_out_work(trial, together);
    if (plan.waves.empty() || together.end() - base > kWaveBytes) {
      plan.waves.push_back({i, i});
      together = Layout(kWorkAlignment, base);
      lay_out_work(trial, together);
    }
    plan.tensors[size_t(i)] = trial;
    plan.waves.back().last = i + 1;
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
  for (const TensorPlan& t : tensors) {
    for (const SlotPlan& slot : t.slot) {
      const core::BlockScale zeros = core::block_scale(slot.storage, core::BlockRange{});
      const float stored[2] = {zeros.lo, zeros.r};
      const int words = core::scale_words(slot.storage);
      const int64_t blocks = slot.count == 0 ? 0 : slot.count / slot.matrix * slot.blocks;
      float* scale = core::at<float>(bytes.data(), slot.scales);
      for (int64_t b = 0; b < blocks; ++b, scale += words) std::copy_n(stored, words, scale);
    }
  }
  return bytes;
}

}  // namespace plumbline
