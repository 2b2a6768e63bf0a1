// The GPU: memory, streams and launches.
#pragma once
#include <cuda_runtime.h>

#include <string>

#include "cuda/kernels/check.h"
#include "cuda/kernels/policy.h"

namespace plumbline::gpu {

// cudaMalloc on this device, whichever is current.
MemoryResource& device_memory(int device);

class Runtime {
 public:
  static constexpr size_t kParameterBytes = 32764;  // of a kernel, at most

  // Throws CudaError where the device is absent or too old.
  explicit Runtime(const OptimizerConfig& config);

  MemoryResource& memory() const { return device_memory(device_); }
  const DeviceLimits& limits() const { return limits_; }

  // Makes a kernel ready for its shared memory on this device, which has to be current: later launches then neither
  // wait nor allocate, and can be captured.
  template <class... Parameters>
  void prepare(void (*kernel)(Parameters...), size_t dynamic_shared) const {
    if (dynamic_shared > kDefaultShared)
      check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 int(dynamic_shared)));
  }

  template <class... Parameters, class... Arguments>
  void launch(const char*, void (*kernel)(Parameters...), int64_t grid, int block, size_t dynamic_shared, Stream stream,
              const Arguments&... arguments) const {
    const cudaLaunchConfig_t shape = shape_of(grid, block, dynamic_shared, stream);
    check(cudaLaunchKernelEx(&shape, kernel, arguments...));
  }

  // The same for kernels that call begin_grid() first: on sm_90 such a launch may begin while the one before it ends.
  template <class... Parameters, class... Arguments>
  void launch_next(const char*, void (*kernel)(Parameters...), int64_t grid, int block, size_t dynamic_shared,
                   Stream stream, const Arguments&... arguments) const {
    cudaLaunchConfig_t shape = shape_of(grid, block, dynamic_shared, stream);
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    shape.attrs = &overlap;
    shape.numAttrs = overlaps_ ? 1 : 0;
    check(cudaLaunchKernelEx(&shape, kernel, arguments...));
  }

  // Why kernels on this device should not follow the address; empty: they may. Asks the driver, waits for nothing.
  std::string address_fault(const void* address) const;

  // These wait for the stream.
  void copy_to_host(void* to, const void* from, size_t bytes, Stream stream) const;
  void copy_to_device(void* to, const void* from, size_t bytes, Stream stream) const;
  void zero(void* memory, size_t bytes, Stream stream) const;
  // From one place of the device to another.
  void copy(void* to, const void* from, size_t bytes, Stream stream) const;

  // Undefined memory between the kernels of a step is a matter of the emulator.
  void poison(void*, size_t) const {}

  // Makes the device current, and the caller's again afterwards.
  class Use {
   public:
    explicit Use(const Runtime& runtime) : Use(runtime.device_) {}
    explicit Use(int device);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    int before_ = 0, device_ = 0;
  };

 private:
  static cudaLaunchConfig_t shape_of(int64_t grid, int block, size_t dynamic_shared, Stream stream) {
    cudaLaunchConfig_t shape = {};
    shape.gridDim = dim3(unsigned(grid));
    shape.blockDim = dim3(unsigned(block));
    shape.dynamicSmemBytes = dynamic_shared;
    shape.stream = static_cast<cudaStream_t>(stream);
    return shape;
  }

  static constexpr size_t kDefaultShared = 46 * 1024;  // 48 KiB a block without asking, static memory included

  int device_;
  DeviceLimits limits_;
  bool overlaps_ = false;
};

}  // namespace plumbline::gpu
