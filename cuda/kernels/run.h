// The launches of a step, the same for the GPU and the emulator: which kernels, how many blocks, and which block does
// what. They are made once; a step only adds pointers. Each function lives in a file of its own, for the sake of build
// times.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "cuda/core/with_type.h"
#include "cuda/kernels/runtime.h"
#include "cuda/kernels/task.h"
#include "cuda/kernels/vector.cuh"

namespace plumbline::PLUMBLINE_TARGET {

struct KernelLaunch {
  const char* name = "";
  void (*kernel)(Launch) = nullptr;
  int64_t blocks = 0;
  int threads = 0;
  size_t shared = 0;  // dynamic bytes
  Average average = Average::moment;
  std::vector<Item> items;  // by block or ticket; of one tensor: its only entry, with `tensor` and `first_slice`
  int32_t strip_count = 0;
};

// Tensors of one kind: indices into the plan's.
struct Group {
  const std::vector<TensorPlan>& plans;
  std::span<const int> tensors;
  const DeviceLimits& limits;

  const TensorPlan& front() const { return plans[size_t(tensors.front())]; }
  // Elements of a tensor over those of all.
  double share(int tensor) const {
    double all = 0;
    for (const int i : tensors) all += double(plans[size_t(i)].size);
    return double(plans[size_t(tensor)].size) / all;
  }
};

// blocks(plan, tensor) for every tensor of the group; the chunk that starts at `first_slice`, where the tensor has one.
template <class Blocks>
KernelLaunch launch_over(const Group& group, const char* name, void (*kernel)(Launch), int threads, size_t shared,
                         Average average, int64_t first_slice, const Blocks& blocks) {
  KernelLaunch launch = {name, kernel, 0, threads, shared, average, {}, 0};
  for (const int tensor : group.tensors) {
    const TensorPlan& plan = group.plans[size_t(tensor)];
    if (first_slice > 0 && first_slice >= plan.slices) continue;
    const int64_t count = blocks(plan, tensor);
    launch.blocks += count;
    const Item item = {tensor, 0, int32_t(count), int32_t(first_slice)};
    if (group.tensors.size() == 1) {
      launch.items.push_back(item);
      continue;
    }
    for (int64_t b = 0; b < count; ++b) {
      launch.items.push_back(item);
      launch.items.back().block = int32_t(b);
    }
  }
  return launch;
}
// Blocks that loop over `items` shares of a tensor's work, of which a block takes `each` at once.
inline int64_t shared_blocks(const Group& group, int tensor, int per_multiprocessor, int64_t items, int64_t each) {
  const double all = double(group.limits.multiprocessors) * per_multiprocessor * group.share(tensor);
  return std::clamp<int64_t>(int64_t(all), 1, core::ceil_div(items, each));
}

inline int most_columns(const Group& group) {
  int cols = 1;
  for (const int i : group.tensors) cols = std::max(cols, group.plans[size_t(i)].cols);
  return cols;
}
// Threads of a sweep of these tensors.
inline int sweep_threads(const Group& group, const SweepForm& form) {
  return int(core::ceil_div(core::ceil_div(most_columns(group), form.columns), kWarp)) * kWarp;
}

// Code for an older chip runs on a newer one too, but does not copy ranges.
inline bool is_built_for_ranges([[maybe_unused]] void (*kernel)(Launch)) {
#ifdef PLUMBLINE_EMULATOR
  return true;
#else
  cudaFuncAttributes built = {};
  check(cudaFuncGetAttributes(&built, reinterpret_cast<const void*>(kernel)));
  return built.ptxVersion >= 90;
#endif
}
// Whether a sweep by roles can take these tensors: rows of whole vectors, neither short nor longer than `most`.
template <class G>
bool rows_are_ranges(const Group& group, int most, void (*kernel)(Launch)) {
  bool fits = group.limits.copies_ranges && group.limits.shared_per_block >= kLargeShared;
  fits = fits && most_columns(group) > kNarrowColumns && most_columns(group) <= most;
  for (const int i : group.tensors) fits = fits && group.plans[size_t(i)].cols % kVector<G> == 0;
  return fits && is_built_for_ranges(kernel);
}

// Slices of a tensor in the chunk from first_slice on.
inline int64_t chunk_slices(const TensorPlan& plan, int64_t first_slice) {
  return std::min(plan.chunk, plan.slices - first_slice);
}

// Factored path. The sweep of a chunk: one launch, or two for wide rows and with momentum of the gradient.
void add_sweep(const Group& group, int64_t first_slice, std::vector<KernelLaunch>& launches);
// Momentum of the update; with CAME the confidence of a chunk.
void add_confidence_sweep(const Group& group, int64_t first_slice, std::vector<KernelLaunch>& launches);
void add_count(const Group& group, std::vector<KernelLaunch>& launches);
void add_parameter_norm(const Group& group, std::vector<KernelLaunch>& launches);
void add_finish(const Group& group, Average average, int64_t first_slice, std::vector<KernelLaunch>& launches);
void add_limit(const Group& group, std::vector<KernelLaunch>& launches);
void add_apply(const Group& group, std::vector<KernelLaunch>& launches);
// Brings a carried norm into the clock, where the state has it.
KernelLaunch settle_launch(const Group& group);
// By tickets, and of packed matrices: what comes before everything else of a step, for tensors of all kinds; then, of
// one kind, all but that.
PLUMBLINE_HD bool begins_first(const TensorPlan& plan) { return plan.ticketed || plan.packed; }
KernelLaunch begin_launch(const Group& group);
void add_ticketed(const Group& group, std::vector<KernelLaunch>& launches);
void add_packed(const Group& group, std::vector<KernelLaunch>& launches);
// Projected path.
void add_projected(const Group& group, std::vector<KernelLaunch>& launches);
// Full path.
void add_full(const Group& group, std::vector<KernelLaunch>& launches);

// Those of the factored path.
inline void add_factored(const Group& group, std::vector<KernelLaunch>& launches) {
  const TensorPlan& plan = group.front();
  const core::Hyper& h = plan.hyper;
  // Chunks are of different sizes from tensor to tensor, so those that have more than one are alone in their wave.
  for (int64_t first = 0; first < plan.slices; first += plan.chunk) {
    add_sweep(group, first, launches);
    add_finish(group, Average::moment, first, launches);
    if (plan.chunk >= plan.slices) break;
  }
  if (h.momentum_of_update) {
    for (int64_t first = 0; first < plan.slices; first += plan.chunk) {
      add_confidence_sweep(group, first, launches);
      if (!h.has_confidence) break;
      add_finish(group, Average::confidence, first, launches);
      if (plan.chunk >= plan.slices) break;
    }
    if (h.limiter && !h.has_confidence) add_limit(group, launches);
  }
  add_apply(group, launches);
}

// All launches of a step of the group, in order.
inline std::vector<KernelLaunch> step_launches(const Group& group) {
  std::vector<KernelLaunch> launches;
  const TensorPlan& plan = group.front();
  if (plan.packed) {
    add_packed(group, launches);
    return launches;
  }
  if (counts_first(plan)) add_count(group, launches);
  if (plan.path == Path::full) {
    add_full(group, launches);
    return launches;
  }
  if (plan.ticketed) {
    add_ticketed(group, launches);
  } else {
    if (plan.hyper.scale_parameter && !plan.hyper.carried) add_parameter_norm(group, launches);
    plan.path == Path::factored ? add_factored(group, launches) : add_projected(group, launches);
  }
  bool settles = false;
  for (const int i : group.tensors) settles = settles || group.plans[size_t(i)].settles;
  if (settles) launches.push_back(settle_launch(group));
  return launches;
}

}  // namespace plumbline::PLUMBLINE_TARGET
