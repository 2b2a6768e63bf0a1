#include "cuda/diagnostics/values.h"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "cuda/diagnostics/dispatch.h"
#include "cuda/diagnostics/values_entry.h"
#include "cuda/diagnostics/values_work.h"

namespace plumbline::diagnostics {
namespace {

// Null on the host.
const DeviceValues* device_values(Backend backend) {
#ifdef PLUMBLINE_HAVE_CUDA
  if (backend == Backend::cuda) return &gpu_values();
#endif
  return backend == Backend::emulator ? &emulator_values() : nullptr;
}

template <class Work>
std::vector<uint64_t> run_here(const Work& work, int64_t count) {
  std::vector<uint64_t> values(static_cast<size_t>(count));
  constexpr int64_t kChunk = 1 << 14;
  if (count <= kChunk) {  // in this thread, in its floating-point mode
    for (int64_t i = 0; i < count; ++i) values[size_t(i)] = work(i);
    return values;
  }
  tbb::parallel_for(int64_t(0), (count + kChunk - 1) / kChunk, [&](int64_t chunk) {
    for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) values[size_t(i)] = work(i);
  });
  return values;
}

}  // namespace

std::vector<uint64_t> evaluate_ieee(Operation operation, bool wide, const std::vector<Operands>& operands,
                                    Backend backend, int device) {
  if (const auto* values = device_values(backend)) return values->ieee(operation, wide, operands, device);
  return run_here(IeeeWork{operation, wide, operands.data()}, int64_t(operands.size()));
}

std::vector<uint64_t> evaluate_codec(const CodecRow& row, const std::vector<core::BlockScale>& scales, Backend backend,
                                     int device) {
  if (const auto* values = device_values(backend)) return values->codec(row, scales, device);
  return run_here(CodecWork{row, scales.data()}, int64_t(scales.size()) * row.codes);
}

std::vector<uint64_t> evaluate_function(const ScanSubject& subject, int shift, Backend backend, int device) {
  if (const auto* values = device_values(backend)) return values->function(subject, shift, device);
  std::vector<uint64_t> out;
  with_function(subject.function, [&]<Function F>() {
    out = run_here(FunctionWork<F>{shift, subject.divisor}, int64_t(1) << (32 - shift));
  });
  return out;
}

}  // namespace plumbline::diagnostics
