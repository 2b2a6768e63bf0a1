#include "cuda/linear/kernel_device.h"

namespace plumbline::linear {

std::unique_ptr<Device> make_cuda_device(const LayerConfig& config) {
  return std::make_unique<gpu::KernelDevice>(config);
}

}  // namespace plumbline::linear
