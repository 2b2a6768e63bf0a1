// Elementwise work on a device, the same for the GPU and the emulator.
#pragma once
#include <vector>

#include "cuda/core/geometry.h"
#include "cuda/diagnostics/dispatch.h"
#include "cuda/diagnostics/values.cuh"
#include "cuda/kernels/runtime.h"
#include "cuda/state/arena.h"

namespace plumbline::PLUMBLINE_TARGET {

template <class Work>
std::vector<uint64_t> run_values(const Runtime& runtime, const Work& work, int64_t count) {
  constexpr int kBlocksPerMultiprocessor = 8;
  const Runtime::Use use(runtime);
  const Arena out(runtime.memory(), size_t(count) * sizeof(uint64_t));
  auto* results = core::at<uint64_t>(out.data(), 0);
  const int64_t grid = looping_blocks(runtime.limits(), kBlocksPerMultiprocessor, core::ceil_div(count, kValueThreads));
  PLUMBLINE_LAUNCH(runtime, evaluate_all<Work>, grid, kValueThreads, 0, nullptr, work, count, results);
  std::vector<uint64_t> values(static_cast<size_t>(count));
  runtime.copy_to_host(values.data(), results, values.size() * sizeof(uint64_t), nullptr);
  return values;
}

// Work that reads arguments.
template <class Work>
std::vector<uint64_t> run_values(const Runtime& runtime, Work work,
                                 const std::vector<typename Work::Argument>& arguments, int64_t count) {
  const Runtime::Use use(runtime);
  const size_t bytes = arguments.size() * sizeof(typename Work::Argument);
  const Arena in(runtime.memory(), bytes);
  runtime.copy_to_device(in.data(), arguments.data(), bytes, nullptr);
  work.arguments = core::at<typename Work::Argument>(in.data(), 0);
  return run_values(runtime, work, count);
}

inline std::vector<uint64_t> run_function(const Runtime& runtime, const diagnostics::ScanSubject& subject, int shift) {
  std::vector<uint64_t> values;
  diagnostics::with_function(subject.function, [&]<diagnostics::Function F>() {
    values = run_values(runtime, diagnostics::FunctionWork<F>{shift, subject.divisor}, int64_t(1) << (32 - shift));
  });
  return values;
}

}  // namespace plumbline::PLUMBLINE_TARGET
