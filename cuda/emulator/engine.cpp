#include "cuda/kernels/device_engine.h"

namespace plumbline {

std::unique_ptr<Engine> make_emulator_engine(const Plan& plan, const OptimizerConfig& config) {
  return std::make_unique<emulated::DeviceEngine>(plan, config);
}

int emulator_sweep_columns(const OptimizerConfig& config) { return sweep_columns(emulated::Runtime(config).limits()); }

}  // namespace plumbline
