// The engine of a device, the same for the GPU and the emulator: arenas, and the order of launches in a step.
#pragma once
#include <limits>
#include <string>

#include "cuda/kernels/run.h"
#include "cuda/plan/engine.h"
#include "cuda/state/arena.h"

namespace plumbline::PLUMBLINE_TARGET {

PLUMBLINE_KERNEL(kWarp, 1)
store_lr(double* lr, double value) {
  if (thread_index() == 0) *lr = value;
}

class DeviceEngine final : public Engine {
 public:
  DeviceEngine(const Plan& plan, const OptimizerConfig& config)
      : plan_(plan),
        runtime_(config),
        state_(allocate(config, plan.state_bytes)),
        scratch_(allocate(config, plan.scratch_bytes)) {
    check_sizes();
    check_features();
    const Runtime::Use use(runtime_);
    const std::vector<std::byte> initial = plan.initial_state();
    runtime_.copy_to_device(state_.data(), initial.data(), initial.size(), nullptr);
    runtime_.zero(scratch_.data(), scratch_.bytes(), nullptr);
    runtime_.set_preparing(true);
    for (const TensorPlan& tensor : plan.tensors) run(tensor, {}, nullptr);
    runtime_.set_preparing(false);
  }

  void step(std::span<const TensorPointers> pointers, Stream stream) override {
    const Runtime::Use use(runtime_);
    for (size_t i = 0; i < pointers.size(); ++i) {
      poison_work(plan_.tensors[i]);
      run(plan_.tensors[i], pointers[i], stream);
    }
  }
  void set_lr(int group, double lr, Stream stream) override {
    const Runtime::Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, store_lr, 1, kWarp, 0, stream, core::at<double>(state_.data(), 0) + group, lr);
  }
  void set_multiplier(float multiplier, Stream) override {
    if (multiplier != 1.0f) throw OptionError("gradient multiplier: not implemented by the kernels, expected 1");
  }
  void read(ArenaKind arena, size_t offset, std::span<std::byte> to, Stream stream) const override {
    const Runtime::Use use(runtime_);
    if (arena == ArenaKind::state) settle(offset, to.size(), stream);
    const Arena& from = arena == ArenaKind::state ? state_ : scratch_;
    runtime_.copy_to_host(to.data(), from.data() + offset, to.size(), stream);
  }
  void write_state(size_t offset, std::span<const std::byte> from, Stream stream) override {
    const Runtime::Use use(runtime_);
    settle(offset, from.size(), stream);
    runtime_.copy_to_device(state_.data() + offset, from.data(), from.size(), stream);
  }

 private:
  Arena allocate(const OptimizerConfig& config, size_t bytes) const {
    const Runtime::Use use(runtime_);
    return Arena(config.memory != nullptr ? *config.memory : runtime_.memory(), bytes);
  }

  // Kernels count rows in 32 bits.
  void check_sizes() const {
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const TensorPlan& t = plan_.tensors[i];
      const int64_t rows = t.slices * t.strips * t.strip_rows;
      if (t.path == Path::factored && rows > std::numeric_limits<int32_t>::max())
        throw OptionError("tensor '" + plan_.names[i] + "': " + std::to_string(rows) +
                          " rows in all slices, expected at most " +
                          std::to_string(std::numeric_limits<int32_t>::max()) + " on a device");
    }
  }

  // What the kernels do not implement.
  void check_features() const {
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const TensorPlan& t = plan_.tensors[i];
      const auto refuse = [&](bool asked, const char* option) {
        if (asked)
          throw OptionError("tensor '" + plan_.names[i] + "': " + option + ", which the kernels do not implement");
      };
      refuse(t.path == Path::projected, "projection_rank");
      refuse(t.hyper.momentum, "beta1");
      refuse(t.hyper.limiter, "limiter_margin");
      refuse(t.parameter_rounding != Rounding::nearest, "parameter_rounding");
      for (const SlotPlan& slot : t.slot) {
        refuse(slot.storage == Storage::al16, "storage al16");
        refuse(slot.rounding != Rounding::nearest, "rounding");
      }
    }
  }

  Task task_of(const TensorPlan& plan, const TensorPointers& pointers) const {
    Task task;
    task.plan = plan;
    task.state = state_.data();
    task.scratch = scratch_.data();
    task.parameter = pointers.parameter;
    task.gradient = pointers.gradient;
    return task;
  }

  // Before bytes of the state are read or replaced: clocks among them get what is still on its way to them.
  void settle(size_t offset, size_t bytes, Stream stream) const {
    for (const TensorPlan& plan : plan_.tensors) {
      const auto clock = size_t(plan.clock);
      if (plan.path != Path::factored || !plan.hyper.carried) continue;
      if (clock + sizeof(core::TensorClock) <= offset || offset + bytes <= clock) continue;
      run_settle_norm(runtime_, task_of(plan, {}), stream);
    }
  }

  void run(const TensorPlan& plan, const TensorPointers& pointers, Stream stream) const {
    Task task = task_of(plan, pointers);
    if (plan.path == Path::full) return run_full(runtime_, task, stream);
    if (plan.hyper.scale_parameter && !plan.hyper.carried) run_parameter_norm(runtime_, task, stream);
    for (; task.first_slice < plan.slices; task.first_slice += plan.chunk) {
      const int64_t slices = std::min(plan.chunk, plan.slices - task.first_slice);
      run_sweep(runtime_, task, slices, stream);
      run_finish(runtime_, task, slices, stream);
    }
    run_apply(runtime_, task, stream);
  }

  // What a tensor's kernels must write before they read it; a stale value of the step before would hide a fault.
  void poison_work(const TensorPlan& t) const {
    const auto poison = [&](int64_t offset, int64_t values, size_t bytes) {
      runtime_.poison(scratch_.data() + offset, size_t(values) * bytes);
    };
    poison(t.scalars, 1, sizeof(core::StepScalars));
    poison(t.slice_sums, 3 * t.slices, sizeof(double));
    poison(t.slice_step, t.slices, sizeof(float));
    if (t.path == Path::full) {
      poison(t.update_sums, t.slices * t.flat_tiles, sizeof(double));
      poison(t.parameter_sums, t.slices * t.flat_tiles, sizeof(double));
      return;
    }
    const int64_t partials = t.chunk * t.strips * int64_t(t.pitch);
    poison(t.row, t.slices * t.rows, sizeof(float));
    poison(t.col, t.slices * t.cols, sizeof(float));
    poison(t.parameter_sums, t.hyper.carried ? 0 : t.slices * t.rows * t.panels, sizeof(double));
    poison(t.partial_col, partials, sizeof(float));
    poison(t.partial_weighted, partials, sizeof(float));
    poison(t.panel_rows, t.panels > 1 ? t.chunk * t.rows * t.panels : 0, sizeof(float));
    poison(t.col_scale, t.slices * t.pitch, sizeof(float));
    poison(t.norm_tiles, t.slices * t.column_tiles, sizeof(double));
    poison(t.row_tile_sums, 2 * t.slices * t.row_tiles, sizeof(double));
  }

  const Plan& plan_;
  Runtime runtime_;
  Arena state_, scratch_;
};

}  // namespace plumbline::PLUMBLINE_TARGET
