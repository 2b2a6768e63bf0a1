// The engine of a device, the same for the GPU and the emulator: arenas, and the order of launches in a step.
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "cuda/core/projection.h"
#include "cuda/kernels/run.h"
#include "cuda/plan/engine.h"
#include "cuda/state/arena.h"

namespace plumbline::PLUMBLINE_TARGET {

PLUMBLINE_KERNEL(kWarp, 1)
store_lr(double* lr, double value) {
  begin_grid();
  if (thread_index() == 0) *lr = value;
}
PLUMBLINE_KERNEL(kWarp, 1)
store_multiplier(float* multiplier, float* given, float value) {
  begin_grid();
  if (thread_index() == 0) *multiplier = *given = value;
}
// In every step after a scale, so that a graph captured then finds the multiplier that was given last.
PLUMBLINE_KERNEL(kWarp, 1)
restore_multiplier(float* multiplier, const float* given) {
  begin_grid();
  if (thread_index() == 0) *multiplier = *given;
}
// At the start of a step, so that a graph reads the scale at every replay.
PLUMBLINE_KERNEL(kWarp, 1)
load_scale(const float* scale, float* multiplier) {
  begin_grid();
  if (thread_index() == 0) *multiplier = core::multiplier_of_scale(*scale);
}

// Pointers of a step of many tensors on their way to device memory: kernel arguments, so that a graph keeps them.
inline constexpr int kPointersAtOnce = int((Runtime::kParameterBytes - 16) / sizeof(TensorPointers));
struct PointerBatch {
  TensorPointers* to;
  int64_t count;
  TensorPointers pointers[kPointersAtOnce];
};
inline constexpr int kPointerThreads = 256;
PLUMBLINE_KERNEL(kPointerThreads, 1)
store_pointers(const PointerBatch batch) {
  begin_grid();
  const int i = block_index() * kPointerThreads + thread_index();
  if (i < batch.count) batch.to[i] = batch.pointers[i];
}

class DeviceEngine final : public Engine {
 public:
  DeviceEngine(const Plan& plan, const OptimizerConfig& config)
      : plan_(plan),
        runtime_(config),
        launches_(make_launches()),
        state_(allocate(config, plan.state_bytes)),
        scratch_(allocate(config, plan.scratch_bytes)),
        tables_(allocate(config, table_bytes())) {
    check_sizes();
    const Runtime::Use use(runtime_);
    const std::vector<std::byte> initial = plan.initial_state();
    runtime_.copy_to_device(state_.data(), initial.data(), initial.size(), nullptr);
    runtime_.zero(scratch_.data(), scratch_.bytes(), nullptr);
    std::vector<std::byte> tables(tables_.bytes());
    std::memcpy(tables.data(), plan.tensors.data(), plan.tensors.size() * sizeof(TensorPlan));
    for (Placed& placed : launches_) {
      const KernelLaunch& launch = placed.launch;
      runtime_.prepare(launch.kernel, launch.shared);
      if (placed.items >= 0)
        std::memcpy(tables.data() + placed.items, launch.items.data(), launch.items.size() * sizeof(Item));
    }
    runtime_.copy_to_device(tables_.data(), tables.data(), tables.size(), nullptr);
  }

  void step(std::span<const TensorPointers> pointers, Stream stream) override {
    const Runtime::Use use(runtime_);
    for (const TensorPlan& tensor : plan_.tensors) poison_work(tensor);
    float* const multiplier = core::at<float>(state_.data(), plan_.multiplier);
    if (scale_ != nullptr)
      PLUMBLINE_LAUNCH(runtime_, load_scale, 1, kWarp, 0, stream, scale_, multiplier);
    else if (scaled_ && !core::is_mutant(core::Mutant::scale_lingers))
      PLUMBLINE_LAUNCH(runtime_, restore_multiplier, 1, kWarp, 0, stream, multiplier,
                       core::at<float>(state_.data(), plan_.given_multiplier));
    if (pointers.size() > 1) {
      for (size_t first = 0; first < pointers.size(); first += kPointersAtOnce) {
        PointerBatch batch = {};
        batch.to = core::at<TensorPointers>(tables_.data(), pointers_at_) + first;
        batch.count = int64_t(std::min<size_t>(kPointersAtOnce, pointers.size() - first));
        std::copy_n(pointers.begin() + ptrdiff_t(first), batch.count, batch.pointers);
        runtime_.launch_next("store_pointers", store_pointers, core::ceil_div(batch.count, kPointerThreads),
                             kPointerThreads, 0, stream, batch);
      }
    }
    for (const Placed& placed : launches_) start(placed.launch, placed.items, pointers, stream);
  }
  void set_lr(int group, double lr, Stream stream) override {
    if (core::is_mutant(core::Mutant::lr_of_first_group)) group = 0;
    const Runtime::Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, store_lr, 1, kWarp, 0, stream, core::at<double>(state_.data(), 0) + group, lr);
  }
  void set_multiplier(float multiplier, Stream stream) override {
    const Runtime::Use use(runtime_);
    PLUMBLINE_LAUNCH(runtime_, store_multiplier, 1, kWarp, 0, stream, core::at<float>(state_.data(), plan_.multiplier),
                     core::at<float>(state_.data(), plan_.given_multiplier), multiplier);
  }
  void set_scale(const float* scale) override {
    scaled_ |= scale != nullptr;
    scale_ = scale;
  }
  std::string address_fault(const void* address) const override { return runtime_.address_fault(address); }
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
  size_t table_bytes() const override {
    size_t bytes = size_t(pointers_at_) + plan_.tensors.size() * sizeof(TensorPointers);
    for (const Placed& placed : launches_)
      if (placed.items >= 0) bytes += align16(placed.launch.items.size() * sizeof(Item));
    return align16(bytes);
  }

 private:
  struct Placed {
    KernelLaunch launch;
    int64_t items;  // offset into the tables; -1: one tensor has the grid
  };
  static size_t align16(size_t bytes) { return (bytes + 15) / 16 * 16; }

  // Tables: plans, pointers, items of every launch.
  std::vector<Placed> make_launches() {
    pointers_at_ = int64_t(align16(plan_.tensors.size() * sizeof(TensorPlan)));
    int64_t end = pointers_at_ + int64_t(align16(plan_.tensors.size() * sizeof(TensorPointers)));
    std::vector<Placed> all;
    const auto place = [&](KernelLaunch& launch, bool alone) {
      const auto bytes = int64_t(align16(launch.items.size() * sizeof(Item)));
      all.push_back({std::move(launch), alone ? -1 : end});
      if (!alone) end += bytes;
    };
    std::vector<int> begun = plan_.order;
    std::erase_if(begun, [&](int i) { return !begins_first(plan_.tensors[size_t(i)]); });
    if (!begun.empty()) {
      KernelLaunch begin = begin_launch({plan_.tensors, begun, runtime_.limits()});
      place(begin, false);
    }
    for (const Wave& wave : plan_.waves) {
      const std::span<const int> tensors(plan_.order.data() + wave.first, size_t(wave.last - wave.first));
      for (KernelLaunch& launch : step_launches({plan_.tensors, tensors, runtime_.limits()}))
        place(launch, launch.items.size() == 1);
    }
    return all;
  }

  void start(const KernelLaunch& kernel, int64_t items, std::span<const TensorPointers> pointers, Stream stream) const {
    Launch launch;
    launch.plans = core::at<TensorPlan>(tables_.data(), 0);
    launch.state = state_.data();
    launch.scratch = scratch_.data();
    if (pointers.size() > 1) launch.pointers = core::at<TensorPointers>(tables_.data(), pointers_at_);
    if (pointers.size() == 1) launch.own = pointers[0];
    if (items >= 0) launch.items = core::at<Item>(tables_.data(), items);
    launch.item_count = int32_t(kernel.items.size());
    launch.strip_count = kernel.strip_count;
    launch.item = kernel.items.front();
    launch.average = kernel.average;
    runtime_.launch_next(kernel.name, kernel.kernel, kernel.blocks, kernel.threads, kernel.shared, stream, launch);
  }

  Arena allocate(const OptimizerConfig& config, size_t bytes) const {
    const Runtime::Use use(runtime_);
    return Arena(config.memory != nullptr ? *config.memory : runtime_.memory(), bytes);
  }

  // Kernels count rows in 32 bits.
  void check_sizes() const {
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const TensorPlan& t = plan_.tensors[i];
      const int64_t rows = t.slices * t.strips * t.strip_rows;
      if (t.path != Path::full && rows > std::numeric_limits<int32_t>::max())
        throw OptionError("tensor '" + plan_.names[i] + "': " + std::to_string(rows) +
                          " rows in all slices, expected at most " +
                          std::to_string(std::numeric_limits<int32_t>::max()) + " on a device");
    }
  }

  // Before bytes of the state are read or replaced: clocks among them get what is still on its way to them.
  void settle(size_t offset, size_t bytes, Stream stream) const {
    for (int i = 0; i < int(plan_.tensors.size()); ++i) {
      const TensorPlan& plan = plan_.tensors[size_t(i)];
      const auto clock = size_t(plan.clock);
      if (plan.path == Path::full || plan.packed || !plan.hyper.carried) continue;
      if (clock + sizeof(core::TensorClock) <= offset || offset + bytes <= clock) continue;
      start(settle_launch({plan_.tensors, {&i, 1}, runtime_.limits()}), -1, {}, stream);
    }
  }

  // What a tensor's kernels must write before they read it; a stale value of the step before would hide a fault.
  void poison_work(const TensorPlan& t) const {
    const auto poison = [&](int64_t offset, int64_t values, size_t bytes) {
      runtime_.poison(scratch_.data() + offset, size_t(values) * bytes);
    };
    poison(t.scalars, 1, sizeof(core::StepScalars));
    if (t.packed) {
      poison(t.update_sums, t.packs, sizeof(double));
      poison(t.parameter_sums, t.packs, sizeof(double));
      poison(t.row, t.path == Path::factored ? t.slices * t.rows : 0, sizeof(float));
      poison(t.col, t.path == Path::factored ? t.slices * t.cols : 0, sizeof(float));
      return;
    }
    poison(t.slice_sums, kSliceSums * t.slices, sizeof(double));
    poison(t.slice_step, t.slices, sizeof(float));
    if (t.path == Path::full) {
      poison(t.update_sums, t.slices * t.flat_tiles, sizeof(double));
      poison(t.parameter_sums, t.slices * t.flat_tiles, sizeof(double));
      return;
    }
    poison(t.parameter_sums, t.hyper.carried && !t.settles ? 0 : t.slices * t.norm_sums(), sizeof(double));
    poison(t.row_tile_sums, 2 * t.slices * t.row_tiles, sizeof(double));
    if (t.path == Path::projected) {
      const int64_t low = int64_t(t.low_rows) * t.low_cols;
      poison(t.channel_sums, 3 * int64_t(t.channels), sizeof(double));
      poison(t.low_rank_gradient, low, sizeof(float));
      poison(t.low_rank_update, low, sizeof(float));
      poison(t.channel_scale, t.hyper.scale_by_tensor ? 1 : t.channels, sizeof(float));
      const int64_t parts = t.reduces_columns ? int64_t(t.rows) * t.panels : int64_t(t.strips) * t.cols;
      poison(t.reduces_columns ? t.channel_panels : t.channel_strips, parts, sizeof(double));
      poison(t.channel_largest, parts, sizeof(uint32_t));
      poison(t.projection_entries, core::projection_bytes(t.reduced, t.rank), 1);
      if (t.hyper.projection_factored) {
        poison(t.low_rank_row, t.low_rows, sizeof(float));
        poison(t.low_rank_col, t.low_cols, sizeof(float));
      }
      return;
    }
    const int64_t partials = t.chunk * t.strips * int64_t(t.pitch);
    poison(t.row, t.slices * t.rows, sizeof(float));
    poison(t.col, t.slices * t.cols, sizeof(float));
    poison(t.partial_col, partials, sizeof(float));
    poison(t.partial_weighted, partials, sizeof(float));
    const bool panels = t.panels > 1 || t.hyper.momentum;
    poison(t.panel_rows, panels ? t.chunk * t.rows * t.panels : 0, sizeof(float));
    if (t.hyper.has_confidence) {
      poison(t.confidence_row, t.slices * t.rows, sizeof(float));
      poison(t.confidence_col, t.slices * t.cols, sizeof(float));
      poison(t.confidence_scale, t.slices * t.pitch, sizeof(float));
    }
    if (t.momentum_sums != 0) poison(t.momentum_sums, t.slices * t.rows * t.panels, sizeof(double));
    poison(t.col_scale, t.slices * t.pitch, sizeof(float));
    poison(t.norm_tiles, t.slices * t.column_tiles, sizeof(double));
  }

  const Plan& plan_;
  Runtime runtime_;
  int64_t pointers_at_ = 0;  // in the tables
  std::vector<Placed> launches_;
  Arena state_, scratch_, tables_;
  const float* scale_ = nullptr;
  bool scaled_ = false;  // there has been a scale: what it left has to be undone
};

}  // namespace plumbline::PLUMBLINE_TARGET
