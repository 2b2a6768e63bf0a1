// A scan on a device, the same for the GPU and the emulator.
#pragma once
#include <vector>

#include "cuda/diagnostics/dispatch.h"
#include "cuda/diagnostics/scan.cuh"
#include "cuda/kernels/runtime.h"
#include "cuda/state/arena.h"

namespace plumbline::PLUMBLINE_TARGET {

inline diagnostics::Scan run_scan(const Runtime& runtime, const diagnostics::ScanSubject& subject, int shift) {
  constexpr int kBlocksPerMultiprocessor = 16;
  const Runtime::Use use(runtime);
  const uint64_t inputs = uint64_t(1) << (32 - shift);
  const int64_t grid = looping_blocks(runtime.limits(), kBlocksPerMultiprocessor, int64_t(inputs / kScanThreads));
  const Arena memory(runtime.memory(), size_t(grid) * sizeof(diagnostics::ScanPartial));
  auto* partials = core::at<diagnostics::ScanPartial>(memory.data(), 0);
  diagnostics::with_function(subject.function, [&]<diagnostics::Function F>() {
    PLUMBLINE_LAUNCH(runtime, scan<F>, grid, kScanThreads, 0, nullptr, inputs, shift, subject.divisor, partials);
  });
  std::vector<diagnostics::ScanPartial> blocks(static_cast<size_t>(grid));
  runtime.copy_to_host(blocks.data(), partials, blocks.size() * sizeof blocks[0], nullptr);
  diagnostics::ScanPartial all = {};
  for (const auto& block : blocks) diagnostics::merge(all, block);
  return diagnostics::to_scan(all, inputs);
}

}  // namespace plumbline::PLUMBLINE_TARGET
