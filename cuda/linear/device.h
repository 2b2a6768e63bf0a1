// What a backend does for a layer. Layer stands on this and knows no backend.
#pragma once
#include <cstddef>
#include <memory>

#include "cuda/linear/tasks.h"

namespace plumbline::linear {

class Device {
 public:
  virtual ~Device() = default;
  virtual MemoryResource& memory() const = 0;
  virtual const char* product_kernel() const = 0;
  // Enqueue only.
  virtual void quantize(const QuantizeTask& task, Stream stream) const = 0;
  virtual void product(const ProductTask& task, Stream stream) const = 0;
  virtual void dot(const DotTask& task, Stream stream) const = 0;
  virtual void matmul(const MatmulTask& task, Stream stream) const = 0;
  // Rows of `width` bytes from one pitch to another, within the device's memory; what is left of a row becomes 0.
  virtual void copy_rows(void* to, int64_t to_pitch, const void* from, int64_t from_pitch, int64_t width, int64_t rows,
                         Stream stream) const = 0;
  // values of `type` as float32; none: zeros
  virtual void widen(float* to, const void* from, Type type, int64_t count, Stream stream) const = 0;
  // These wait for the stream.
  virtual void download(void* to, const void* from, size_t bytes, Stream stream) const = 0;
  virtual void zero(void* memory, size_t bytes, Stream stream) const = 0;
};

std::unique_ptr<Device> make_host_device(const LayerConfig& config);
std::unique_ptr<Device> make_emulator_device(const LayerConfig& config);
#ifdef PLUMBLINE_HAVE_CUDA
std::unique_ptr<Device> make_cuda_device(const LayerConfig& config);
#endif

}  // namespace plumbline::linear
