#include "cuda/api/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cuda/api/optimizer_impl.h"
#include "cuda/plan/arithmetic.h"

namespace plumbline {
namespace {

std::unique_ptr<Engine> make_engine(const Plan& plan, const OptimizerConfig& config) {
  const std::string why = backend_unavailable(config.backend, config.device);
  if (!why.empty()) throw CudaError(why);
  if (config.backend == Backend::emulator) return make_emulator_engine(plan, config);
#ifdef PLUMBLINE_HAVE_CUDA
  if (config.backend == Backend::cuda) return make_cuda_engine(plan, config);
#endif
  return make_host_engine(plan, config);
}

int sweep_columns(const OptimizerConfig& config) {
  if (config.backend == Backend::emulator) return emulator_sweep_columns(config);
#ifdef PLUMBLINE_HAVE_CUDA
  if (config.backend == Backend::cuda) return cuda_sweep_columns(config);
#endif
  return 0;
}

const OptimizerConfig& checked(const OptimizerConfig& config) {
  constexpr int kMaxThreads = 1024;
  if (!(config.backend <= Backend::emulator)) throw OptionError("backend: expected host, cuda or emulator");
  if (!(config.threads >= 1 && config.threads <= kMaxThreads)) {
    throw OptionError(fmt::format("threads: {}, expected 1 to {}", config.threads, kMaxThreads));
  }
  return config;
}

}  // namespace

PlannedEngine::PlannedEngine(const std::vector<TensorSpec>& tensors, const std::vector<GroupOptions>& groups,
                             const OptimizerConfig& config)
    : plan(make_plan(tensors, groups, config.record_second_moment, sweep_columns(config))),
      engine(make_engine(plan, checked(config))) {}

Optimizer::Impl::Impl(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config)
    : specs_(std::move(tensors)),
      groups_(std::move(groups)),
      config_(config),
      held_(std::make_unique<PlannedEngine>(specs_, groups_, config_)) {}

const TensorPlan& Optimizer::Impl::tensor(int index) const {
  if (!(index >= 0 && size_t(index) < specs_.size())) {
    throw OptionError(fmt::format("tensor {}: expected 0 to {}", index, specs_.size() - 1));
  }
  return plan().tensors[size_t(index)];
}

const GroupOptions& Optimizer::Impl::group(int index) const {
  if (!(index >= 0 && size_t(index) < groups_.size())) {
    throw OptionError(fmt::format("group {}: expected 0 to {}", index, groups_.size() - 1));
  }
  return groups_[size_t(index)];
}

void Optimizer::Impl::step(std::span<const TensorPointers> pointers, Stream stream) {
  pointers_.check(pointers, plan(), *held_->engine);
  held_->engine->step(pointers, stream);
}

void Optimizer::Impl::set_lr(double lr, Stream stream, int index) {
  GroupOptions changed = group(index);
  changed.lr = lr;
  validate(changed);
  held_->engine->set_lr(index, lr, stream);
  groups_[size_t(index)] = changed;
}

void Optimizer::Impl::set_gradient_multiplier(float multiplier, Stream stream) {
  if (!(multiplier > 0.0f && multiplier <= std::numeric_limits<float>::max()))
    throw OptionError(fmt::format("gradient multiplier: {}, expected positive and finite", multiplier));
  held_->engine->set_multiplier(multiplier, stream);
}

void Optimizer::Impl::set_gradient_scale(const float* scale) {
  if (reinterpret_cast<uintptr_t>(scale) % alignof(float) != 0)
    throw OptionError(fmt::format("gradient scale: pointer is not aligned to {} bytes", alignof(float)));
  if (scale != nullptr) {
    const std::string fault = held_->engine->address_fault(scale);
    if (!fault.empty()) throw OptionError(fmt::format("gradient scale: pointer: {}", fault));
  }
  held_->engine->set_scale(scale);
  scale_ = scale;
}

StepRecord Optimizer::Impl::last_step(int index, Stream stream) const {
  const TensorPlan& t = tensor(index);
  const auto s = held_->load<core::StepScalars>(ArenaKind::scratch, t.scalars, stream);
  StepRecord record;
  record.step = s.step;
  if (s.step == 0) return record;
  record.skipped = s.skipped != 0;
  record.multiplier = s.multiplier;
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
    return held_->load_floats(ArenaKind::scratch, offset, offset < 0 ? 0 : count, stream);
  };
  const int64_t low = int64_t(t.low_rows) * t.low_cols;
  if (t.path == Path::factored) {
    record.row = get(t.row, t.slices * t.rows);
    record.col = get(t.col, t.slices * t.cols);
  }
  if (t.hyper.has_confidence && config_.record_second_moment) {
    record.confidence_row = get(t.confidence_row, t.slices * t.rows);
    record.confidence_col = get(t.confidence_col, t.slices * t.cols);
  }
  if (t.path == Path::projected) {
    if (config_.record_second_moment) record.low_rank_gradient = get(t.low_rank_gradient, low);
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
void Optimizer::set_gradient_scale(const float* scale) { impl_->set_gradient_scale(scale); }
const std::vector<TensorSpec>& Optimizer::tensors() const { return impl_->specs(); }
const std::vector<GroupOptions>& Optimizer::groups() const { return impl_->groups(); }
size_t Optimizer::state_bytes() const { return impl_->plan().state_bytes; }
size_t Optimizer::scratch_bytes() const { return impl_->scratch_bytes(); }
std::vector<SlotLayout> Optimizer::slot_layouts(int tensor, Stream stream) const {
  return impl_->slot_layouts(tensor, stream);
}
int64_t Optimizer::steps_taken(int tensor, Stream stream) const {
  return impl_->held().clock(impl_->tensor(tensor), stream).t;
}
float Optimizer::gradient_multiplier(Stream stream) const {
  return impl_->held().load<float>(ArenaKind::state, impl_->plan().given_multiplier, stream);
}
DecodedState Optimizer::export_decoded(int tensor, Stream stream) const {
  return impl_->export_decoded(tensor, stream);
}
std::vector<float> Optimizer::export_decoded(int tensor, std::string_view slot, Stream stream) const {
  return impl_->export_decoded(tensor, slot, stream);
}
void Optimizer::import_decoded(int tensor, const DecodedState& state, Stream stream) {
  impl_->import_decoded(tensor, state, stream);
}
void Optimizer::check_decoded(int tensor, const DecodedState& state) const {
  static_cast<void>(impl_->check_decoded(tensor, state));
}
std::vector<RawSlot> Optimizer::export_raw(int tensor, Stream stream) const {
  return impl_->export_raw(tensor, stream);
}
RawSlot Optimizer::export_raw(int tensor, std::string_view slot, Stream stream) const {
  return impl_->export_raw(tensor, slot, stream);
}
void Optimizer::import_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) {
  impl_->import_raw(tensor, steps_taken, slots, stream);
}
void Optimizer::check_raw(int tensor, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) const {
  static_cast<void>(impl_->check_raw(tensor, steps_taken, slots, stream));
}
void Optimizer::set_precision(const Precision& precision, Stream stream, int group) {
  impl_->set_precision(precision, stream, group);
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
