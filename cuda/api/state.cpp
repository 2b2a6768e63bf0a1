#include "cuda/api/state.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/api/optimizer_impl.h"
#include "cuda/core/codec.h"
#include "cuda/state/check.h"
#include "cuda/state/slots.h"

namespace plumbline {
namespace {

constexpr int64_t kLastStep = int64_t(1) << 31;

int64_t value_bytes(const TensorPlan& t, const SlotPlan& slot) { return t.slices * slot.rows() * slot.row_bytes; }
int64_t scale_count(const TensorPlan& t, const SlotPlan& slot) {
  return t.slices * slot.blocks * core::scale_words(slot.storage);
}

// A slot's bytes outside of the arena: values, then scales.
struct Detached {
  SlotPlan slot;
  std::vector<std::byte> bytes;
  size_t values, scales;  // sizes in bytes

  Detached(const TensorPlan& t, const SlotPlan& from)
      : slot(from), values(size_t(value_bytes(t, from))), scales(size_t(scale_count(t, from)) * sizeof(float)) {
    constexpr size_t kWord = sizeof(float);
    slot.values = 0;
    slot.scales = int64_t((values + kWord - 1) / kWord * kWord);
    bytes.resize(size_t(slot.scales) + scales);
  }
  std::span<std::byte> value_span() { return std::span(bytes).first(values); }
  std::span<std::byte> scale_span() { return std::span(bytes).subspan(size_t(slot.scales)); }
};

// Calls work(slice, row, first value) for every row of a slot.
template <class Work>
void for_rows(const TensorPlan& t, const SlotPlan& slot, const Work& work) {
  for (int64_t k = 0; k < t.slices; ++k) {
    for (int64_t i = 0; i < slot.rows(); ++i) work(k, i, k * slot.matrix + i * slot.row);
  }
}

RawSlot raw_norm(std::string_view name, double value) {
  RawSlot raw;
  raw.name = name;
  raw.count = raw.matrix = raw.row = 1;
  raw.shape = {1};
  raw.values.resize(sizeof value);
  std::memcpy(raw.values.data(), &value, sizeof value);
  return raw;
}
double norm_of(const RawSlot& raw) {
  double value = 0;
  std::memcpy(&value, raw.values.data(), sizeof value);
  return value;
}
bool is_norm(std::string_view name) { return name == kParameterNorm || name == kPreviousNorm; }
// A norm, or the NaN of a run that lets it through: which one does not matter.
bool is_stored_norm(double x) { return std::isnan(x) || !std::signbit(x); }

int find_kind(std::string_view name) {
  for (int kind = 0; kind < kSlots; ++kind) {
    if (slot_name(SlotKind(kind)) == name) return kind;
  }
  return -1;
}
bool is_momentum(int kind) {
  return SlotKind(kind) == SlotKind::momentum || SlotKind(kind) == SlotKind::low_rank_momentum;
}

}  // namespace

void PlannedEngine::read_slot(const TensorPlan& t, const SlotPlan& slot, std::vector<std::byte>& values,
                              std::vector<float>& scales, Stream stream) const {
  values.resize(size_t(value_bytes(t, slot)));
  engine->read(ArenaKind::state, size_t(slot.values), values, stream);
  scales = load_floats(ArenaKind::state, slot.scales, scale_count(t, slot), stream);
}

void PlannedEngine::write_slot(const SlotPlan& slot, std::span<const std::byte> values, std::span<const float> scales,
                               Stream stream) const {
  engine->write_state(size_t(slot.values), values, stream);
  if (!scales.empty()) engine->write_state(size_t(slot.scales), std::as_bytes(scales), stream);
}

std::vector<float> PlannedEngine::decode(const TensorPlan& t, const SlotPlan& slot, uint32_t writes,
                                         Stream stream) const {
  Detached copy(t, slot);
  engine->read(ArenaKind::state, size_t(slot.values), copy.value_span(), stream);
  if (copy.scales > 0) engine->read(ArenaKind::state, size_t(slot.scales), copy.scale_span(), stream);
  std::vector<float> values(static_cast<size_t>(slot.count));
  for_rows(t, slot, [&](int64_t k, int64_t i, int64_t first) {
    decode_slot(copy.slot, copy.bytes.data(), {k, i, 0, slot.row}, writes, &values[size_t(first)]);
  });
  return values;
}

void PlannedEngine::encode(const TensorPlan& t, const SlotPlan& slot, uint32_t writes, std::span<const float> values,
                           Stream stream) const {
  Detached copy(t, slot);
  for_rows(t, slot, [&](int64_t k, int64_t i, int64_t first) {
    encode_slot(copy.slot, copy.bytes.data(), {k, i, 0, slot.row}, writes, &values[size_t(first)]);
  });
  engine->write_state(size_t(slot.values), copy.value_span(), stream);
  if (copy.scales > 0) engine->write_state(size_t(slot.scales), copy.scale_span(), stream);
}

SlotLayout Optimizer::Impl::layout(int index, SlotKind kind, uint32_t writes) const {
  const TensorPlan& t = tensor(index);
  const SlotPlan& slot = t.slot[int(kind)];
  SlotLayout out;
  out.name = slot_name(kind);
  out.storage = slot.storage;
  out.rounding = slot.rounding;
  out.writes = writes;
  out.count = slot.count;
  out.matrix = slot.matrix;
  out.row = slot.row;
  out.block = slot.block;
  const std::vector<int64_t>& shape = specs_[size_t(index)].shape;
  switch (kind) {
    case SlotKind::second_moment:
    case SlotKind::momentum:
      out.shape = shape;
      break;
    case SlotKind::low_rank_momentum:
    case SlotKind::low_rank_second_moment:
      out.shape = {t.low_rows, t.low_cols};
      break;
    case SlotKind::low_rank_row:
    case SlotKind::low_rank_col:
      out.shape = {slot.count};
      break;
    default:  // the batch, and one of the two factored axes
      out.shape.assign(shape.begin(), shape.end() - 2);
      out.shape.push_back(slot.matrix);
  }
  return out;
}

std::vector<SlotLayout> Optimizer::Impl::slot_layouts(int index, Stream stream) const {
  const TensorPlan& t = tensor(index);
  const uint32_t writes = held_->clock(t, stream).writes;
  std::vector<SlotLayout> layouts;
  for (int kind = 0; kind < kSlots; ++kind) {
    if (t.slot[kind].count != 0) layouts.push_back(layout(index, SlotKind(kind), writes));
  }
  if (t.hyper.carried) layouts.push_back(raw_norm(kParameterNorm, 0.0));
  if (t.hyper.limiter) layouts.push_back(raw_norm(kPreviousNorm, 0.0));
  return layouts;
}

RawSlot Optimizer::Impl::export_raw(int index, std::string_view name, Stream stream) const {
  const TensorPlan& t = tensor(index);
  std::string known;
  for (SlotLayout& form : slot_layouts(index, stream)) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", form.name);
    if (form.name != name) continue;
    if (is_norm(name)) {
      const core::TensorClock now = held_->clock(t, stream);
      return raw_norm(name, core::canonical(name == kParameterNorm ? now.parameter_sum : now.previous_norm));
    }
    RawSlot raw;
    static_cast<SlotLayout&>(raw) = std::move(form);
    held_->read_slot(t, t.slot[find_kind(name)], raw.values, raw.scales, stream);
    return raw;
  }
  reject(index, fmt::format("slot '{}': unknown, expected one of {}", name, known));
}

std::vector<RawSlot> Optimizer::Impl::export_raw(int index, Stream stream) const {
  std::vector<RawSlot> slots;
  for (const SlotLayout& form : slot_layouts(index, stream)) slots.push_back(export_raw(index, form.name, stream));
  return slots;
}

Optimizer::Impl::Checked Optimizer::Impl::check_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots,
                                                    Stream stream) const {
  const TensorPlan& t = tensor(index);
  if (!(steps_taken >= 0 && steps_taken < kLastStep)) {
    reject(index, fmt::format("steps taken: {}, expected 0 to {}", steps_taken, kLastStep - 1));
  }
  const std::vector<SlotLayout> wanted = slot_layouts(index, stream);
  if (slots.size() != wanted.size()) reject(index, fmt::format("{} slots, expected {}", slots.size(), wanted.size()));
  Checked checked;
  checked.clock.t = steps_taken;
  for (const SlotLayout& form : wanted) {
    const auto at = std::find_if(slots.begin(), slots.end(), [&](const RawSlot& s) { return s.name == form.name; });
    if (at == slots.end()) reject(index, fmt::format("slot '{}' is missing", form.name));
    const auto same = [&](std::string_view what, int64_t got, int64_t expected) {
      if (got != expected) reject(index, fmt::format("slot '{}': {} {}, expected {}", form.name, what, got, expected));
    };
    const int kind = find_kind(form.name);
    const SlotPlan* slot = kind < 0 ? nullptr : &t.slot[kind];
    same("storage", int64_t(at->storage), int64_t(form.storage));
    same("rounding", int64_t(at->rounding), int64_t(form.rounding));
    same("count", at->count, form.count);
    same("values per matrix", at->matrix, form.matrix);
    same("values per row", at->row, form.row);
    same("block", at->block, form.block);
    same("bytes of values", int64_t(at->values.size()), slot ? value_bytes(t, *slot) : int64_t(sizeof(double)));
    same("scales", int64_t(at->scales.size()), slot ? scale_count(t, *slot) : 0);
    if (slot == nullptr) {
      const double norm = norm_of(*at);
      const bool unknown = form.name == kParameterNorm && norm == core::kUnknownSum;
      if (!unknown && !is_stored_norm(norm))
        reject(index, fmt::format("slot '{}': {}, expected >= 0", form.name, norm));
      (form.name == kParameterNorm ? checked.clock.parameter_sum : checked.clock.previous_norm) = core::canonical(norm);
    } else {
      if (checked.slots.empty()) checked.clock.writes = at->writes;
      same("writes", at->writes, checked.clock.writes);
      const std::string fault = find_fault(SlotKind(kind), *slot, t.slices, at->values, at->scales);
      if (!fault.empty()) reject(index, fmt::format("slot '{}': {}", form.name, fault));
    }
    checked.slots.push_back(&*at);
  }
  if (steps_taken > 0 && checked.clock.writes == 0)
    reject(index, fmt::format("steps taken: {}, expected 0 where no slot was ever written", steps_taken));
  return checked;
}

void Optimizer::Impl::import_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) {
  const Checked checked = check_raw(index, steps_taken, slots, stream);
  const TensorPlan& t = tensor(index);
  for (const RawSlot* raw : checked.slots) {
    if (!is_norm(raw->name)) held_->write_slot(t.slot[find_kind(raw->name)], raw->values, raw->scales, stream);
  }
  core::TensorClock clock = checked.clock;
  if (core::is_mutant(core::Mutant::norm_lost_by_import)) clock.previous_norm = 0.0;
  held_->engine->write_state(size_t(t.clock), std::as_bytes(std::span(&clock, 1)), stream);
}

DecodedState Optimizer::Impl::export_decoded(int index, Stream stream) const {
  const TensorPlan& t = tensor(index);
  const core::TensorClock now = held_->clock(t, stream);
  DecodedState state;
  state.steps_taken = now.t;
  state.previous_norm = now.previous_norm;
  for (int kind = 0; kind < kSlots; ++kind) {
    const SlotPlan& slot = t.slot[kind];
    if (slot.count == 0) continue;
    state.slots.push_back({std::string(slot_name(SlotKind(kind))), held_->decode(t, slot, now.writes, stream)});
  }
  return state;
}

std::vector<float> Optimizer::Impl::export_decoded(int index, std::string_view name, Stream stream) const {
  const TensorPlan& t = tensor(index);
  std::string known;
  for (int kind = 0; kind < kSlots; ++kind) {
    const SlotPlan& slot = t.slot[kind];
    if (slot.count == 0) continue;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", slot_name(SlotKind(kind)));
    if (slot_name(SlotKind(kind)) == name) return held_->decode(t, slot, held_->clock(t, stream).writes, stream);
  }
  reject(index, fmt::format("slot '{}': unknown, expected one of {}", name, known));
}

std::array<const DecodedSlot*, kSlots> Optimizer::Impl::check_decoded(int index, const DecodedState& state) const {
  const TensorPlan& t = tensor(index);
  if (!(state.steps_taken >= 0 && state.steps_taken < kLastStep))
    reject(index, fmt::format("steps taken: {}, expected 0 to {}", state.steps_taken, kLastStep - 1));
  if (t.hyper.limiter && !is_stored_norm(state.previous_norm))
    reject(index, fmt::format("previous norm: {}, expected >= 0", state.previous_norm));
  std::array<const DecodedSlot*, kSlots> given = {};
  for (const DecodedSlot& slot : state.slots) {
    const int kind = find_kind(slot.name);
    if (kind < 0 || t.slot[kind].count == 0)
      reject(index, fmt::format("slot '{}': the tensor has none of this name", slot.name));
    if (given[size_t(kind)] != nullptr) reject(index, fmt::format("slot '{}' is given twice", slot.name));
    if (int64_t(slot.values.size()) != t.slot[kind].count)
      reject(index,
             fmt::format("slot '{}': {} values, expected {}", slot.name, slot.values.size(), t.slot[kind].count));
    const auto negative = [&](float x) { return x < 0.0f && !is_momentum(kind); };
    const auto bad = std::find_if(slot.values.begin(), slot.values.end(), negative);
    if (bad != slot.values.end())
      reject(index, fmt::format("slot '{}': value {}: {}, expected >= 0", slot.name, bad - slot.values.begin(), *bad));
    given[size_t(kind)] = &slot;
  }
  for (int kind = 0; kind < kSlots; ++kind) {
    if (t.slot[kind].count != 0 && given[size_t(kind)] == nullptr)
      reject(index, fmt::format("slot '{}' is missing", slot_name(SlotKind(kind))));
  }
  return given;
}

void Optimizer::Impl::import_decoded(int index, const DecodedState& state, Stream stream) {
  const auto given = check_decoded(index, state);
  const TensorPlan& t = tensor(index);
  core::TensorClock clock = held_->clock(t, stream);
  for (int kind = 0; kind < kSlots; ++kind) {
    if (given[size_t(kind)] == nullptr) continue;
    std::vector<float> values = given[size_t(kind)]->values;
    // averages have no zero but +0
    if (!is_momentum(kind))
      std::transform(values.begin(), values.end(), values.begin(), [](float x) { return x + 0.0f; });
    held_->encode(t, t.slot[kind], clock.writes, values, stream);
  }
  clock.t = state.steps_taken;
  clock.parameter_sum = core::kUnknownSum;
  clock.previous_norm = t.hyper.limiter ? state.previous_norm : 0.0;
  ++clock.writes;
  held_->engine->write_state(size_t(t.clock), std::as_bytes(std::span(&clock, 1)), stream);
}

}  // namespace plumbline
