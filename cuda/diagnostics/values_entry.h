// What host code calls of a device's elementwise work.
#pragma once
#include <vector>

#include "cuda/diagnostics/values.h"

namespace plumbline::diagnostics {

struct DeviceValues {
  std::vector<uint64_t> (*ieee)(Operation, bool, const std::vector<Operands>&, int device);
  std::vector<uint64_t> (*codec)(const CodecRow&, const std::vector<core::BlockScale>&, int device);
  std::vector<uint64_t> (*function)(const ScanSubject&, int shift, int device);
};
const DeviceValues& emulator_values();
#ifdef PLUMBLINE_HAVE_CUDA
const DeviceValues& gpu_values();
#endif

}  // namespace plumbline::diagnostics
