#include <fmt/format.h>

#include <map>
#include <mutex>
#include <new>
#include <string_view>

#include "cuda/kernels/gpu_runtime.h"
#include "cuda/plan/engine.h"

namespace plumbline {
namespace gpu {
namespace {

class DeviceMemory final : public MemoryResource {
 public:
  explicit DeviceMemory(int device) : device_(device) {}
  void* allocate(size_t bytes) override {
    const Runtime::Use use(device_);
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes));
    return memory;
  }
  // A destructor's way: nothing can be done about an error, and a later call reports it.
  void deallocate(void* memory, size_t) noexcept override { static_cast<void>(cudaFree(memory)); }

 private:
  int device_;
};

int attribute(cudaDeviceAttr what, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, device));
  return value;
}

}  // namespace

void check(cudaError_t error, Site site) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // so that the next call does not report this one again
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  std::string_view file = site.file_name();
  if (const size_t at = file.rfind("cuda/"); at != file.npos) file.remove_prefix(at);
  throw CudaError(fmt::format("{}:{}: {} ({})", file, site.line(), cudaGetErrorString(error), cudaGetErrorName(error)));
}

MemoryResource& device_memory(int device) {
  static std::mutex mutex;
  static std::map<int, DeviceMemory> memories;
  const std::lock_guard lock(mutex);
  return memories.try_emplace(device, device).first->second;
}

Runtime::Runtime(const OptimizerConfig& config) : device_(config.device) {
  if (const std::string why = cuda_unavailable(device_); !why.empty()) throw CudaError(why);
  limits_.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device_);
  const int major = attribute(cudaDevAttrComputeCapabilityMajor, device_);
  overlaps_ = major >= 9;
  limits_.copies_ranges = overlaps_;
  limits_.warpgroups = major == 9 && attribute(cudaDevAttrComputeCapabilityMinor, device_) == 0;
  limits_.shared_per_block = size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device_));
}

std::string Runtime::address_fault(const void* address) const {
  cudaPointerAttributes found = {};
  check(cudaPointerGetAttributes(&found, address));
  switch (found.type) {
    case cudaMemoryTypeManaged:
      return {};
    case cudaMemoryTypeDevice:
      if (found.device == device_) return {};
      return fmt::format("memory of device {}, expected device {}", found.device, device_);
    default:
      return fmt::format("memory of the host, expected device {}", device_);
  }
}

void Runtime::copy_to_host(void* to, const void* from, size_t bytes, Stream stream) const {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)));
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}
void Runtime::copy_to_device(void* to, const void* from, size_t bytes, Stream stream) const {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)));
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}
void Runtime::copy(void* to, const void* from, size_t bytes, Stream stream) const {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)));
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}
void Runtime::zero(void* memory, size_t bytes, Stream stream) const {
  check(cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)));
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

Runtime::Use::Use(int device) : device_(device) {
  check(cudaGetDevice(&before_));
  if (before_ != device_) check(cudaSetDevice(device_));
}
Runtime::Use::~Use() {
  if (before_ != device_) static_cast<void>(cudaSetDevice(before_));
}

}  // namespace gpu

std::string cuda_unavailable(int device) {
  constexpr int kMajor = 7;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return fmt::format("no CUDA device ({})", cudaGetErrorString(error));
  }
  if (count == 0) return "no CUDA device";
  if (!(device >= 0 && device < count)) return fmt::format("CUDA device {}: expected 0 to {}", device, count - 1);
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess)
    return fmt::format("CUDA device {} does not answer", device);
  if (major < kMajor) return fmt::format("compute capability {}.{} < {}.0", major, minor, kMajor);
  return "";
}

}  // namespace plumbline
