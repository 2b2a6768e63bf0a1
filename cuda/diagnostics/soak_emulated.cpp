#include "cuda/diagnostics/soak_device.h"

namespace plumbline::diagnostics {

std::unique_ptr<SoakEngine> make_emulated_soak(uint64_t bytes, uint64_t schedule_seed) {
  OptimizerConfig config;
  config.backend = Backend::emulator;
  config.schedule_seed = schedule_seed;
  return std::make_unique<emulated::DeviceSoak>(config, bytes);
}

}  // namespace plumbline::diagnostics
