#include "cuda/diagnostics/gpus.h"

#ifdef PLUMBLINE_HAVE_CUDA
#include <array>

#include "cuda/kernels/check.h"
#endif

namespace plumbline::diagnostics {

#ifdef PLUMBLINE_HAVE_CUDA
std::vector<GpuDescription> list_gpus() {
  int count = 0, before = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || cudaGetDevice(&before) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {};
  }
  std::vector<GpuDescription> list;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp device{};
    gpu::check(cudaGetDeviceProperties(&device, index));
    GpuDescription d;
    d.index = index;
    d.name = device.name;
    std::array<char, 32> pci{};
    gpu::check(cudaDeviceGetPCIBusId(pci.data(), int(pci.size()), index));
    d.pci = pci.data();
    d.capability = 10 * device.major + device.minor;
    d.multiprocessors = device.multiProcessorCount;
    d.memory = device.totalGlobalMem;
    d.cache = uint64_t(device.l2CacheSize);
    d.ecc = device.ECCEnabled != 0;
    gpu::check(cudaSetDevice(index));
    size_t free = 0, total = 0;
    gpu::check(cudaMemGetInfo(&free, &total));
    d.free_memory = free;
    list.push_back(std::move(d));
  }
  gpu::check(cudaSetDevice(before));
  return list;
}
#else
std::vector<GpuDescription> list_gpus() { return {}; }
#endif

}  // namespace plumbline::diagnostics
