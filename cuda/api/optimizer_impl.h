// What stands behind Optimizer: the description, its plan, and the engine that holds the state. Steps are in
// optimizer.cpp, state in state.cpp, the change of precision in precision.cpp.
#pragma once
#include <fmt/format.h>

#include <array>

#include "cuda/api/optimizer.h"
#include "cuda/api/pointers.h"
#include "cuda/plan/engine.h"

namespace plumbline {

constexpr std::string_view kParameterNorm = "parameter_norm", kPreviousNorm = "previous_norm";

// A plan and the engine that refers to it.
struct PlannedEngine {
  Plan plan;
  std::unique_ptr<Engine> engine;
  // Throws as the constructor of Optimizer.
  PlannedEngine(const std::vector<TensorSpec>& tensors, const std::vector<GroupOptions>& groups,
                const OptimizerConfig& config);

  // Both wait for the stream.
  template <class T>
  T load(ArenaKind arena, int64_t offset, Stream stream) const {
    T value;
    engine->read(arena, size_t(offset), std::as_writable_bytes(std::span(&value, 1)), stream);
    return value;
  }
  std::vector<float> load_floats(ArenaKind arena, int64_t offset, int64_t count, Stream stream) const {
    std::vector<float> values(static_cast<size_t>(count));
    if (count > 0) engine->read(arena, size_t(offset), std::as_writable_bytes(std::span(values)), stream);
    return values;
  }
  core::TensorClock clock(const TensorPlan& t, Stream stream) const {
    return load<core::TensorClock>(ArenaKind::state, t.clock, stream);
  }
  // One slot's bytes and scales, as they are stored.
  void read_slot(const TensorPlan& t, const SlotPlan& slot, std::vector<std::byte>& values, std::vector<float>& scales,
                 Stream stream) const;
  void write_slot(const SlotPlan& slot, std::span<const std::byte> values, std::span<const float> scales,
                  Stream stream) const;
  // The values of a slot; those of a slot encoded as the `writes`-th write.
  std::vector<float> decode(const TensorPlan& t, const SlotPlan& slot, uint32_t writes, Stream stream) const;
  void encode(const TensorPlan& t, const SlotPlan& slot, uint32_t writes, std::span<const float> values,
              Stream stream) const;
};

class Optimizer::Impl {
 public:
  Impl(std::vector<TensorSpec> tensors, std::vector<GroupOptions> groups, const OptimizerConfig& config);

  void step(std::span<const TensorPointers> pointers, Stream stream);
  void set_lr(double lr, Stream stream, int group);
  void set_gradient_multiplier(float multiplier, Stream stream);
  void set_gradient_scale(const float* scale);
  StepRecord last_step(int index, Stream stream) const;
  size_t scratch_bytes() const { return held_->plan.scratch_bytes + held_->engine->table_bytes(); }

  std::vector<SlotLayout> slot_layouts(int index, Stream stream) const;
  std::vector<RawSlot> export_raw(int index, Stream stream) const;
  RawSlot export_raw(int index, std::string_view name, Stream stream) const;
  // The state of import_raw in the order of export_raw, and the clock that goes with it.
  struct Checked {
    std::vector<const RawSlot*> slots;
    core::TensorClock clock;
  };
  Checked check_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream) const;
  void import_raw(int index, int64_t steps_taken, const std::vector<RawSlot>& slots, Stream stream);
  DecodedState export_decoded(int index, Stream stream) const;
  std::vector<float> export_decoded(int index, std::string_view name, Stream stream) const;
  // The slots given, by kind; null where the tensor has none.
  std::array<const DecodedSlot*, kSlots> check_decoded(int index, const DecodedState& state) const;
  void import_decoded(int index, const DecodedState& state, Stream stream);
  void set_precision(const Precision& precision, Stream stream, int group);

  const TensorPlan& tensor(int index) const;
  const GroupOptions& group(int index) const;
  const Plan& plan() const { return held_->plan; }
  const PlannedEngine& held() const { return *held_; }
  const std::vector<TensorSpec>& specs() const { return specs_; }
  const std::vector<GroupOptions>& groups() const { return groups_; }

 private:
  [[noreturn]] void reject(int index, const std::string& what) const {
    throw OptionError(fmt::format("tensor '{}': {}", specs_[size_t(index)].name, what));
  }
  SlotLayout layout(int index, SlotKind kind, uint32_t writes) const;

  std::vector<TensorSpec> specs_;
  std::vector<GroupOptions> groups_;
  OptimizerConfig config_;
  std::unique_ptr<PlannedEngine> held_;
  PointerCheck pointers_;
  const float* scale_ = nullptr;
};

}  // namespace plumbline
