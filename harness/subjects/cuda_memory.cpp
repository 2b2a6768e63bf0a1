#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <stdexcept>

#include "harness/subjects/memory.h"

namespace plumbline::harness {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw CudaError(fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

class CudaMemory final : public Memory {
 public:
  explicit CudaMemory(int device) : device_(device) { check(cudaSetDevice(device_), "cudaSetDevice"); }
  void* allocate(size_t bytes) override {
    check(cudaSetDevice(device_), "cudaSetDevice");
    void* p = nullptr;
    check(cudaMalloc(&p, bytes), "cudaMalloc");
    return p;
  }
  void deallocate(void* memory) noexcept override { (void)cudaFree(memory); }
  void upload(void* to, const std::byte* from, size_t bytes) override {
    check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copy to the device");
  }
  void download(std::byte* to, const void* from, size_t bytes) override {
    check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copy from the device");
  }

 private:
  int device_;
};

}  // namespace

std::unique_ptr<Memory> make_cuda_memory(int device) { return std::make_unique<CudaMemory>(device); }

}  // namespace plumbline::harness
