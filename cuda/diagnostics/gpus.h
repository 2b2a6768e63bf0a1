// The GPUs of this host.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace plumbline::diagnostics {

struct GpuDescription {
  int index = 0;
  std::string name, pci;  // "NVIDIA H100 80GB HBM3", "0000:3b:00.0"
  int capability = 0;     // 10 major + minor
  int multiprocessors = 0;
  uint64_t memory = 0, cache = 0;  // bytes; L2
  uint64_t free_memory = 0;        // bytes that nobody holds
  bool ecc = false;
};
// All that CUDA sees; empty where it cannot be used (backend_unavailable() says why).
std::vector<GpuDescription> list_gpus();

}  // namespace plumbline::diagnostics
