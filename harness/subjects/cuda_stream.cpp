#include <cuda_runtime_api.h>

#include "cuda/kernels/check.h"
#include "harness/subjects/stream.h"

namespace plumbline::harness {
namespace {

using gpu::check;

class CudaStream final : public DeviceStream {
 public:
  explicit CudaStream(int device) : device_(device) {
    check(cudaSetDevice(device_));
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CudaStream() override {
    if (executable_ != nullptr) static_cast<void>(cudaGraphExecDestroy(executable_));
    static_cast<void>(cudaStreamDestroy(stream_));
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  Stream handle() const override { return stream_; }
  void wait_for_device() override {
    check(cudaSetDevice(device_));
    check(cudaDeviceSynchronize());
  }
  void capture(const std::function<void()>& work) override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    work();
    check(cudaStreamEndCapture(stream_, &graph));
    const cudaError_t made = cudaGraphInstantiate(&executable_, graph, 0);
    check(cudaGraphDestroy(graph));
    check(made);
  }
  void replay() override { check(cudaGraphLaunch(executable_, stream_)); }

 private:
  int device_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<DeviceStream> make_cuda_stream(int device) { return std::make_unique<CudaStream>(device); }

}  // namespace plumbline::harness
