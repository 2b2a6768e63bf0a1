#include "cuda/kernels/device_engine.h"

namespace plumbline {

std::unique_ptr<Engine> make_cuda_engine(const Plan& plan, const OptimizerConfig& config) {
  return std::make_unique<gpu::DeviceEngine>(plan, config);
}

int cuda_sweep_columns(const OptimizerConfig& config) {
  return cuda_unavailable(config.device).empty() ? sweep_columns(gpu::Runtime(config).limits()) : 0;
}

}  // namespace plumbline
