#include "cuda/diagnostics/values_entry.h"
#include "cuda/diagnostics/values_run.h"

namespace plumbline::diagnostics {
namespace {

gpu::Runtime runtime_of(int device) {
  OptimizerConfig config;
  config.backend = Backend::cuda;
  config.device = device;
  return gpu::Runtime(config);
}

}  // namespace

const DeviceValues& gpu_values() {
  static const DeviceValues values = {
      [](Operation operation, bool wide, const std::vector<Operands>& operands, int device) {
        return gpu::run_values(runtime_of(device), IeeeWork{operation, wide, nullptr}, operands,
                               int64_t(operands.size()));
      },
      [](const CodecRow& row, const std::vector<core::BlockScale>& scales, int device) {
        return gpu::run_values(runtime_of(device), CodecWork{row, nullptr}, scales, int64_t(scales.size()) * row.codes);
      },
      [](const ScanSubject& subject, int shift, int device) {
        return gpu::run_function(runtime_of(device), subject, shift);
      }};
  return values;
}

}  // namespace plumbline::diagnostics
