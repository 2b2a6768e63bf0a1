// Times of work on a GPU: replays of a captured graph, and what the device's memory can do.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <utility>
#include <vector>

#include "cuda/kernels/check.h"

namespace plumbline::bench {

using gpu::check;

struct DeviceBuffer {
  void* data = nullptr;
  size_t bytes;
  explicit DeviceBuffer(size_t n) : bytes((n + 15) / 16 * 16) { check(cudaMalloc(&data, bytes)); }
  ~DeviceBuffer() { cudaFree(data); }
  DeviceBuffer(DeviceBuffer&& other) noexcept : data(std::exchange(other.data, nullptr)), bytes(other.bytes) {}
  DeviceBuffer(const DeviceBuffer&) = delete;
};

// Enqueues call number i.
using Call = std::function<void(int, cudaStream_t)>;

// A stream of its own, with a clock of the device's.
class TimedStream {
 public:
  TimedStream();
  ~TimedStream();
  TimedStream(const TimedStream&) = delete;
  TimedStream& operator=(const TimedStream&) = delete;
  cudaStream_t stream() const { return stream_; }
  // Microseconds between events around what `work` enqueues; waits for it.
  double time(const std::function<void(cudaStream_t)>& work) const;

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
};

// A graph of `items` calls, captured once.
class Replay {
 public:
  Replay(int items, const Call& call);
  ~Replay();
  Replay(const Replay&) = delete;
  // Microseconds of one item, of every one of `replays` replays after a warm-up.
  std::vector<double> times(int replays);
  size_t kernels() const { return kernels_; }  // in the graph

 private:
  int items_;
  size_t kernels_ = 0;
  TimedStream timed_;
  cudaGraphExec_t graph_ = nullptr;
};

double median(std::vector<double> times);

struct Machine {
  cudaDeviceProp device;
  // GB/s; a copy counts bytes read and written. `copy` is the best of three ways: a memcpy node of a graph goes through
  // a copy engine on some machines, which is slower than the memory.
  double copy = 0, copy_node = 0, copy_stream = 0, copy_kernel = 0, read = 0;
};
Machine measure_machine(int replays);

}  // namespace plumbline::bench
