// The launches of one step of one tensor, the same for the GPU and the emulator. Each lives in a file of its own, for
// the sake of build times; the definitions are in run_*.h.
#pragma once
#include "cuda/kernels/runtime.h"
#include "cuda/kernels/task.h"

namespace plumbline::PLUMBLINE_TARGET {

// Factored path, in this order; sweep and finish per chunk of slices, from task.first_slice.
void run_sweep(const Runtime& runtime, const Task& task, int64_t slices, Stream stream);
void run_finish(const Runtime& runtime, const Task& task, int64_t slices, Stream stream);
void run_parameter_norm(const Runtime& runtime, const Task& task, Stream stream);
void run_apply(const Runtime& runtime, const Task& task, Stream stream);
// Brings a carried norm into the clock, where the state has it.
void run_settle_norm(const Runtime& runtime, const Task& task, Stream stream);
// Full path.
void run_full(const Runtime& runtime, const Task& task, Stream stream);

// Calls work(G{}) with the element type.
template <class Work>
void with_type(Type type, const Work& work) {
  switch (type) {
    case Type::float32:
      return work(float{});
    case Type::bfloat16:
      return work(core::bf16{});
    case Type::float16:
      return work(core::f16{});
  }
}

}  // namespace plumbline::PLUMBLINE_TARGET
