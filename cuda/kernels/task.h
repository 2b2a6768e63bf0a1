// What a kernel is told: one tensor's row of the plan, where the arenas and the tensor lie, and the part it is to do.
// Passed by value now; a table of tasks in device memory can take its place without a change to the kernels' inside.
#pragma once
#include "cuda/device.h"
#include "cuda/plan/plan.h"

namespace plumbline::PLUMBLINE_TARGET {

struct Task {
  TensorPlan plan;
  std::byte* state = nullptr;
  std::byte* scratch = nullptr;
  void* parameter = nullptr;
  const void* gradient = nullptr;
  int64_t first_slice = 0;  // of the chunk whose partial sums are in scratch
};

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

}  // namespace plumbline::PLUMBLINE_TARGET
