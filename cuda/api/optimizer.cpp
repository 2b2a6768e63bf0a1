#include "cuda/api/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cuda/core/codec.h"
#include "cuda/plan/arithmetic.h"
#include "cuda/plan/engine.h"
#include "cuda/state/slots.h"

namespace plumbline {
namespace {

constexpr std::string_view kParameterNorm = "parameter_norm", kPreviousNorm = "previous_norm";
constexpr int64_t kLastStep = int64_t(1) << 31;

size_t element_bytes(Type type) { return type == Type::float32 ? 4 : 2; }

std::unique_ptr<Engine> make_engine(const Plan& plan, const OptimizerConfig& config) {
  const std::string why = backend_unavailable(config.backend, config.device);
  if (!why.empty()) throw CudaError(why);
  if (config.backend == Backend::emulator) return make_emulator_engine(plan, config);
#ifdef PLUMBLINE_HAVE_CUDA
  if (config.backend == Backend::cuda) return make_cuda_engine(plan, config);
#endif
  return make_host_engine(plan, config);
}

const OptimizerConfig& checked(const OptimizerConfig& config) {
  constexpr int kMaxThreads = 1024;
  if (!(config.threads >= 1 && config.threads <= kMaxThreads)) {
    throw OptionError(fmt::format("threads: {}, expected 1 to {}", config.threads, kMaxThreads));
  }
  return config;
}

}  // namespace

class Optimizer::Impl {
 public:
  Impl(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config)
      : specs_(std::move(tensors)),
        groups_(std::move(groups)),
        plan_(make_plan(specs_, groups_, config.record_second_moment)),
        engine_(make_engine(plan_, checked(config))) {}

  void step(std::span<const TensorPointers> pointers, Stream stream);
  void set_lr(double lr, Stream stream, int group);
  void set_gradient_multiplier(float multiplier, Stream stream);
  const TensorPlan& tensor(int index) const;
  core::TensorClock clock(const TensorPlan& t, Stream stream) const {
    return load<core::TensorClock>(ArenaKind::state, t.clock, stream);
  }
  std::vector<RawSlot> export_raw(int index, Stream stream) const;
  void import_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream);
  std::vector<float> export_decoded(int index, std::string_view slot, Stream stream) const;
  StepRecord last_step(int index, Stream stream) const;
  const Plan& plan() const { return plan_; }
  size_t scratch_bytes() const { return plan_.scratch_bytes + engine_->table_bytes(); }

 private:
  template <class T>
  T load(ArenaKind arena, int64_t offset, Stream stream) const {
    T value;
    engine_->read(arena, size_t(offset), std::as_writable_bytes(std::span(&value, 1)), stream);
    return value;
  }
  std::vector<float> load_floats(ArenaKind arena, int64_t offset, int64_t count, Stream stream) const {
    std::vector<float> values(static_cast<size_t>(count));
    if (count > 0) engine_->read(arena, size_t(offset), std::as_writable_bytes(std::span(values)), stream);
    return values;
  }
  [[noreturn]] void reject(int index, const std::string& what) const {
    throw OptionError(fmt::format("tensor '{}': {}", specs_[size_t(index)].name, what));
  }
  const RawSlot& checked_slot(int index, const RawSlot& wanted, const std::vector<RawSlot>& slots) const;

  std::vector<TensorSpec> specs_;
  std::vector<GroupOptions> groups_;
  Plan plan_;
  std::unique_ptr<Engine> engine_;
};

const TensorPlan& Optimizer::Impl::tensor(int index) const {
  if (!(index >= 0 && size_t(index) < plan_.tensors.size())) {
    throw OptionError(fmt::format("tensor {}: expected 0 to {}", index, plan_.tensors.size() - 1));
  }
  return plan_.tensors[size_t(index)];
}

void Optimizer::Impl::step(std::span<const TensorPointers> pointers, Stream stream) {
  if (pointers.size() != plan_.tensors.size()) {
    throw OptionError(fmt::format("pointers: {} given, expected {}", pointers.size(), plan_.tensors.size()));
  }
  constexpr uintptr_t kAlignment = 16;
  for (int i = 0; i < int(pointers.size()); ++i) {
    const TensorPlan& t = plan_.tensors[size_t(i)];
    const auto parameter = reinterpret_cast<uintptr_t>(pointers[size_t(i)].parameter);
    const auto gradient = reinterpret_cast<uintptr_t>(pointers[size_t(i)].gradient);
    for (const auto& [name, address] : {std::pair("parameter", parameter), std::pair("gradient", gradient)}) {
      if (address == 0) reject(i, fmt::format("{} pointer is null", name));
      if (address % kAlignment != 0) reject(i, fmt::format("{} pointer is not aligned to {} bytes", name, kAlignment));
    }
    if (parameter < gradient + size_t(t.size) * element_bytes(t.gradient) &&
        gradient < parameter + size_t(t.size) * element_bytes(t.parameter)) {
      reject(i, "parameter and gradient overlap");
    }
  }
  engine_->step(pointers, stream);
}

void Optimizer::Impl::set_lr(double lr, Stream stream, int group) {
  if (!(group >= 0 && size_t(group) < groups_.size())) {
    throw OptionError(fmt::format("group {}: expected 0 to {}", group, groups_.size() - 1));
  }
  GroupOptions& options = groups_[size_t(group)];
  GroupOptions changed = options;
  changed.lr = lr;
  validate(changed);
  engine_->set_lr(group, lr, stream);
  options = changed;
}

void Optimizer::Impl::set_gradient_multiplier(float multiplier, Stream stream) {
  if (!(multiplier > 0.0f && multiplier <= std::numeric_limits<float>::max()))
    throw OptionError(fmt::format("gradient multiplier: {}, expected positive and finite", multiplier));
  engine_->set_multiplier(multiplier, stream);
}

namespace {

RawSlot raw_norm(std::string_view name, double value) {
  RawSlot raw;
  raw.name = name;
  raw.count = raw.matrix = raw.row = 1;
  raw.values.resize(sizeof value);
  std::memcpy(raw.values.data(), &value, sizeof value);
  return raw;
}
double norm_of(const RawSlot& raw) {
  double value = 0;
  std::memcpy(&value, raw.values.data(), sizeof value);
  return value;
}

}  // namespace

std::vector<RawSlot> Optimizer::Impl::export_raw(int index, Stream stream) const {
  const TensorPlan& t = tensor(index);
  const core::TensorClock now = clock(t, stream);
  std::vector<RawSlot> slots;
  for (int kind = 0; kind < kSlots; ++kind) {
    const SlotPlan& slot = t.slot[kind];
    if (slot.count == 0) continue;
    RawSlot raw;
    raw.name = slot_name(SlotKind(kind));
    raw.storage = slot.storage;
    raw.rounding = slot.rounding;
    raw.writes = now.writes;
    raw.count = slot.count;
    raw.matrix = slot.matrix;
    raw.row = slot.row;
    raw.block = slot.block;
    raw.values.resize(size_t(t.slices * slot.rows() * slot.row_bytes));
    engine_->read(ArenaKind::state, size_t(slot.values), raw.values, stream);
    raw.scales =
        load_floats(ArenaKind::state, slot.scales, t.slices * slot.blocks * core::scale_words(slot.storage), stream);
    slots.push_back(std::move(raw));
  }
  if (t.hyper.carried) slots.push_back(raw_norm(kParameterNorm, now.parameter_sum));
  if (t.hyper.limiter) slots.push_back(raw_norm(kPreviousNorm, now.previous_norm));
  return slots;
}

// The slot of `slots` that has the form of `wanted`.
const RawSlot& Optimizer::Impl::checked_slot(int index, const RawSlot& wanted,
                                             const std::vector<RawSlot>& slots) const {
  const auto found = std::find_if(slots.begin(), slots.end(), [&](const RawSlot& s) { return s.name == wanted.name; });
  if (found == slots.end()) reject(index, fmt::format("slot '{}' is missing", wanted.name));
  const auto same = [&](std::string_view what, int64_t got, int64_t expected) {
    if (got != expected) reject(index, fmt::format("slot '{}': {} {}, expected {}", wanted.name, what, got, expected));
  };
  same("storage", int64_t(found->storage), int64_t(wanted.storage));
  same("rounding", int64_t(found->rounding), int64_t(wanted.rounding));
  same("count", found->count, wanted.count);
  same("values per matrix", found->matrix, wanted.matrix);
  same("values per row", found->row, wanted.row);
  same("block", found->block, wanted.block);
  same("bytes of values", int64_t(found->values.size()), int64_t(wanted.values.size()));
  same("scales", int64_t(found->scales.size()), int64_t(wanted.scales.size()));
  const int words = core::scale_words(found->storage);
  for (size_t i = 0; i < found->scales.size(); i += size_t(words)) {
    const float lo = found->scales[i], r = found->scales[i + size_t(words) - 1];
    // logarithms lie in [-126, 126], and lo = hi - 1 may reach -127; momentum that was never written has a scale of 0
    const bool fresh = core::is_uniform(found->storage) && lo == 0.0f;
    const bool good = std::isnan(lo) || fresh ||
                      (core::is_log(found->storage) ? lo >= -127.0f && r > 0.0f && lo + r <= 127.0f
                                                    : lo >= core::kLinearFloor && std::isfinite(lo));
    if (!good) {
      reject(index, fmt::format("slot '{}': block {} has scale ({}, {}), expected one that encoding makes", wanted.name,
                                i / size_t(words), lo, r));
    }
  }
  if (wanted.name == kPreviousNorm && norm_of(*found) < 0.0)
    reject(index, fmt::format("slot '{}': {}, expected >= 0", wanted.name, norm_of(*found)));
  return *found;
}

void Optimizer::Impl::import_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) {
  const TensorPlan& t = tensor(index);
  if (!(steps_taken >= 0 && steps_taken < kLastStep)) {
    reject(index, fmt::format("steps taken: {}, expected 0 to {}", steps_taken, kLastStep - 1));
  }
  std::vector<RawSlot> wanted = export_raw(index, stream);
  if (slots.size() != wanted.size()) reject(index, fmt::format("{} slots, expected {}", slots.size(), wanted.size()));
  for (RawSlot& slot : wanted) slot = checked_slot(index, slot, slots);
  core::TensorClock clock = {};
  clock.t = steps_taken;
  clock.writes = wanted.front().writes;
  for (const RawSlot& raw : wanted) {
    if (raw.name == kParameterNorm) {
      clock.parameter_sum = norm_of(raw);
    } else if (raw.name == kPreviousNorm) {
      clock.previous_norm = core::canonical(norm_of(raw));
    } else if (raw.writes != clock.writes) {
      reject(index, fmt::format("slot '{}': {} writes, expected {} as of slot '{}'", raw.name, raw.writes, clock.writes,
                                wanted.front().name));
    }
  }
  for (const RawSlot& raw : wanted) {
    for (int kind = 0; kind < kSlots; ++kind) {
      if (slot_name(SlotKind(kind)) != raw.name) continue;
      engine_->write_state(size_t(t.slot[kind].values), raw.values, stream);
      if (raw.scales.empty()) continue;
      engine_->write_state(size_t(t.slot[kind].scales), std::as_bytes(std::span(raw.scales)), stream);
    }
  }
  engine_->write_state(size_t(t.clock), std::as_bytes(std::span(&clock, 1)), stream);
}

std::vector<float> Optimizer::Impl::export_decoded(int index, std::string_view name, Stream stream) const {
  const TensorPlan& t = tensor(index);
  std::string known;
  for (int kind = 0; kind < kSlots; ++kind) {
    SlotPlan slot = t.slot[kind];
    if (slot.count == 0) continue;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", slot_name(SlotKind(kind)));
    if (slot_name(SlotKind(kind)) != name) continue;
    // decode from a copy that holds this slot alone
    const int64_t bytes = t.slices * slot.rows() * slot.row_bytes;
    const int64_t scales = t.slices * slot.blocks * core::scale_words(slot.storage) * int64_t(sizeof(float));
    const int64_t at_scales = core::ceil_div(bytes, int64_t(sizeof(float))) * int64_t(sizeof(float));
    std::vector<std::byte> copy(static_cast<size_t>(at_scales + scales));
    const std::span<std::byte> all(copy);
    engine_->read(ArenaKind::state, size_t(slot.values), all.first(size_t(bytes)), stream);
    if (scales > 0) engine_->read(ArenaKind::state, size_t(slot.scales), all.subspan(size_t(at_scales)), stream);
    slot.values = 0;
    slot.scales = at_scales;
    std::vector<float> values(static_cast<size_t>(slot.count));
    const uint32_t writes = clock(t, stream).writes;
    for (int64_t k = 0; k < t.slices; ++k) {
      for (int64_t i = 0; i < slot.rows(); ++i)
        decode_slot(slot, copy.data(), {k, i, 0, slot.row}, writes, &values[size_t(k * slot.matrix + i * slot.row)]);
    }
    return values;
  }
  reject(index, fmt::format("slot '{}': unknown, expected one of {}", name, known));
}

StepRecord Optimizer::Impl::last_step(int index, Stream stream) const {
  const TensorPlan& t = tensor(index);
  const auto s = load<core::StepScalars>(ArenaKind::scratch, t.scalars, stream);
  StepRecord record;
  record.step = s.step;
  if (s.step == 0) return record;
  record.skipped = s.skipped != 0;
  record.nonfinite = s.nonfinite;
  if (record.skipped) return record;
  record.parameter_rms = s.parameter_rms;
  record.update_rms = s.update_rms;
  record.clip = s.clip;
  record.step_size = s.alpha;
  record.bias = s.bias;
  record.update_norm = s.update_norm;
  record.limiter = s.limiter;
  record.keep = s.keep;
  const auto get = [&](int64_t offset, int64_t count) {
    return load_floats(ArenaKind::scratch, offset, offset < 0 ? 0 : count, stream);
  };
  const int64_t low = int64_t(t.low_rows) * t.low_cols;
  if (t.path == Path::factored) {
    record.row = get(t.row, t.slices * t.rows);
    record.col = get(t.col, t.slices * t.cols);
  }
  if (t.hyper.has_confidence) {
    record.confidence_row = get(t.confidence_row, t.slices * t.rows);
    record.confidence_col = get(t.confidence_col, t.slices * t.cols);
  }
  if (t.path == Path::projected) {
    record.low_rank_gradient = get(t.low_rank_gradient, low);
    record.channel_scale = get(t.channel_scale, t.hyper.scale_by_tensor ? 1 : t.channels);
    if (t.hyper.projection_factored) {
      record.low_rank_row = get(t.low_rank_row, t.low_rows);
      record.low_rank_col = get(t.low_rank_col, t.low_cols);
    }
  }
  record.second_moment = get(t.second_moment, t.size);
  record.momentum = get(t.momentum, t.size);
  record.low_rank_momentum = get(t.low_rank_momentum, low);
  record.low_rank_second_moment = get(t.low_rank_second_moment, low);
  return record;
}

Optimizer::Optimizer(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config)
    : impl_(std::make_unique<Impl>(std::move(tensors), std::move(groups), config)) {}
Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;
Optimizer& Optimizer::operator=(Optimizer&&) noexcept = default;

void Optimizer::step(std::span<const TensorPointers> pointers, Stream stream) { impl_->step(pointers, stream); }
void Optimizer::set_lr(double lr, Stream stream, int group) { impl_->set_lr(lr, stream, group); }
void Optimizer::set_gradient_multiplier(float multiplier, Stream stream) {
  impl_->set_gradient_multiplier(multiplier, stream);
}
size_t Optimizer::state_bytes() const { return impl_->plan().state_bytes; }
size_t Optimizer::scratch_bytes() const { return impl_->scratch_bytes(); }
int64_t Optimizer::steps_taken(int tensor, Stream stream) const {
  return impl_->clock(impl_->tensor(tensor), stream).t;
}
std::vector<RawSlot> Optimizer::export_raw(int tensor, Stream stream) const {
  return impl_->export_raw(tensor, stream);
}
void Optimizer::import_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) {
  impl_->import_raw(tensor, steps_taken, slots, stream);
}
std::vector<float> Optimizer::export_decoded(int tensor, std::string_view slot, Stream stream) const {
  return impl_->export_decoded(tensor, slot, stream);
}
StepRecord Optimizer::last_step(int tensor, Stream stream) const { return impl_->last_step(tensor, stream); }
Arithmetic Optimizer::arithmetic(int tensor) const { return describe_arithmetic(impl_->tensor(tensor)); }

std::string backend_unavailable(Backend backend, [[maybe_unused]] int device) {
  if (backend != Backend::cuda) return "";
#ifdef PLUMBLINE_HAVE_CUDA
  return cuda_unavailable(device);
#else
  return "built without CUDA";
#endif
}

}  // namespace plumbline
