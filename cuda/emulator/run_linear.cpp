#include "cuda/linear/kernel_device.h"

namespace plumbline::linear {

std::unique_ptr<Device> make_emulator_device(const LayerConfig& config) {
  return std::make_unique<emulated::KernelDevice>(config);
}

}  // namespace plumbline::linear
