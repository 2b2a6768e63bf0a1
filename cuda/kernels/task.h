// What a kernel is told. One launch serves one tensor or the tensors of a wave: a table in device memory names for
// every block of the grid its tensor and its share of it; the plans lie in device memory, too.
#pragma once
#include "cuda/device.h"
#include "cuda/plan/plan.h"

namespace plumbline::PLUMBLINE_TARGET {

// One block's work: block number `block` of the `blocks` that the launch has for a tensor.
struct Item {
  int32_t tensor = 0, block = 0, blocks = 0;
  int32_t first_slice = 0;  // of the chunk whose partial sums are in scratch
  int32_t tile = 0;         // of tickets: 1 for a tile of finish, 0 for a strip of the sweep
};

// Which of a step's averages a pass is for.
enum class Average : uint8_t {
  moment,      // R and C; with momentum of the gradient, that too
  confidence,  // momentum of the update; its norm or, with CAME, SR and SC
};

// The one parameter of every kernel of a step.
struct Launch {
  const TensorPlan* plans = nullptr;  // by tensor
  std::byte* state = nullptr;
  std::byte* scratch = nullptr;
  const TensorPointers* pointers = nullptr;  // by tensor; null: `own`
  TensorPointers own;
  const Item* items = nullptr;  // by block or ticket; null: the grid belongs to `item`'s tensor alone
  int32_t item_count = 0;
  int32_t strip_count = 0;  // of items, where tiles of finish are claimed apart: those come behind them
  Item item;
  Average average = Average::moment;
};

// A block's view of its tensor.
struct Task {
  const TensorPlan& plan;
  std::byte* state;
  std::byte* scratch;
  void* parameter;
  const void* gradient;
  int64_t first_slice;
  int32_t block, blocks;
  Average average;
};
// Shared memory for a block's own copy of the plan.
struct PlanShared {
  alignas(16) std::byte bytes[sizeof(TensorPlan)];
};
PLUMBLINE_DEVICE Item own_item(const Launch& launch) {
  Item item = launch.item;
  if (launch.items != nullptr) {
    item = launch.items[block_index()];
  } else {
    item.block = block_index();
    item.blocks = grid_size();
  }
  return item;
}
// For the threads behind a barrier. Plans and items never change, so they may be read while the launch before still
// runs.
PLUMBLINE_DEVICE const TensorPlan& copy_plan(const Launch& launch, const Item& item, PlanShared& shared) {
  static_assert(sizeof(TensorPlan) % 8 == 0);
  const auto* const from = reinterpret_cast<const std::byte*>(launch.plans + item.tensor);
  for (int at = thread_index() * 8; at < int(sizeof(TensorPlan)); at += block_size() * 8)
    store<8>(shared.bytes + at, load<8>(from + at));
  return *reinterpret_cast<const TensorPlan*>(shared.bytes);
}
PLUMBLINE_DEVICE Task task_of(const Launch& launch, const Item& item, const TensorPlan& plan) {
  const TensorPointers pointers = launch.pointers != nullptr ? launch.pointers[item.tensor] : launch.own;
  return {plan,       launch.state, launch.scratch, pointers.parameter, pointers.gradient, item.first_slice,
          item.block, item.blocks,  launch.average};
}
// Opens a kernel of a step, in place of begin_grid().
PLUMBLINE_DEVICE Task open_task(const Launch& launch, PlanShared& shared) {
  const Item item = own_item(launch);
  const TensorPlan& plan = copy_plan(launch, item, shared);
  begin_grid();
  block_barrier();
  return task_of(launch, item, plan);
}
template <class T>
PLUMBLINE_DEVICE T* scratch_at(const Task& task, int64_t offset) {
  return core::at<T>(task.scratch, offset);
}
PLUMBLINE_DEVICE core::StepScalars* scalars_of(const Task& task) {
  return scratch_at<core::StepScalars>(task, task.plan.scalars);
}
PLUMBLINE_DEVICE const SlotPlan& slot_of(const Task& task, SlotKind kind) { return task.plan.slot[int(kind)]; }

// The scalars of the coming step from clock and lr, both in device memory.
PLUMBLINE_DEVICE core::StepScalars begin_step(const Task& task) {
  return core::begin_step(task.plan.hyper, *core::at<const core::TensorClock>(task.state, task.plan.clock),
                          *core::at<const double>(task.state, task.plan.lr),
                          *core::at<const float>(task.state, task.plan.multiplier));
}
PLUMBLINE_DEVICE float multiplier_of(const Task& task) {
  if (core::is_mutant(core::Mutant::gradient_scale_ignored)) return 1.0f;
  return *core::at<const float>(task.state, task.plan.multiplier);
}
// Of the elements that passes counted, with what they read beyond a row's end: all under a multiplier that is no
// number.
PLUMBLINE_DEVICE int64_t nonfinite_elements(const Task& task, uint64_t counted) {
  const float multiplier = multiplier_of(task);
  return multiplier - multiplier == 0.0f ? int64_t(counted) : task.plan.size;
}
// Momentum of the gradient under the policy `skip`: a pass of its own counts before anything of state is written.
PLUMBLINE_HD bool counts_first(const TensorPlan& plan) {
  return plan.path != Path::projected && plan.nonfinite == Nonfinite::skip && plan.hyper.momentum &&
         !plan.hyper.momentum_of_update;
}
// Whether that pass found any, so that this step must not write.
PLUMBLINE_DEVICE bool found_nonfinite(const Task& task) {
  return counts_first(task.plan) && load_fresh(scratch_at<uint64_t>(task, task.plan.nonfinite_count)) != 0;
}

}  // namespace plumbline::PLUMBLINE_TARGET
