#include "harness/subjects/device.h"

#ifdef PLUMBLINE_HAVE_CUDA
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#endif

namespace plumbline::harness {

#ifdef PLUMBLINE_HAVE_CUDA
void describe_gpu(RunDescription& run) {
  cudaDeviceProp device{};
  if (cudaGetDeviceProperties(&device, 0) != cudaSuccess) return;
  int driver = 0, runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || cudaRuntimeGetVersion(&runtime) != cudaSuccess) return;
  run.gpu = device.name;
  run.gpu_architecture = fmt::format("{}.{}, {} multiprocessors, {} GiB", device.major, device.minor,
                                     device.multiProcessorCount, device.totalGlobalMem >> 30);
  run.gpu_driver = fmt::format("CUDA {}.{}", driver / 1000, driver % 1000 / 10);
  run.cuda_toolkit = fmt::format("{}.{}", runtime / 1000, runtime % 1000 / 10);
}
#else
void describe_gpu(RunDescription&) {}
#endif

}  // namespace plumbline::harness
