#include "cuda/kernels/device_engine.h"

namespace plumbline {

std::unique_ptr<Engine> make_cuda_engine(const Plan& plan, const OptimizerConfig& config) {
  return std::make_unique<gpu::DeviceEngine>(plan, config);
}

}  // namespace plumbline
