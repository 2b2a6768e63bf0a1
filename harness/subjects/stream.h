// A stream of a device, and a step captured on it.
#pragma once
#include <functional>
#include <memory>

#include "cuda/api/tensor.h"

namespace plumbline::harness {

class DeviceStream {
 public:
  virtual ~DeviceStream() = default;
  virtual Stream handle() const = 0;
  // Waits for everything on the device: copies of the default stream do not wait for this one, nor it for them.
  virtual void wait_for_device() = 0;
  // Keeps what `work` enqueues on the stream, in place of doing it; a call that waits or allocates is an error.
  virtual void capture(const std::function<void()>& work) = 0;
  virtual void replay() = 0;
};
std::unique_ptr<DeviceStream> make_cuda_stream(int device);  // defined only in builds with CUDA

}  // namespace plumbline::harness
