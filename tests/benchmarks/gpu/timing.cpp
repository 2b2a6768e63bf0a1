#include "tests/benchmarks/gpu/timing.h"

#include <algorithm>

#include "tests/benchmarks/gpu/phases.h"

namespace plumbline::bench {
namespace {

constexpr int kWarmUp = 3;

// Microseconds of one of `items` calls in a stream, median of `replays`.
double time_stream(int items, int replays, const Call& call) {
  const TimedStream timed;
  std::vector<double> times;
  for (int r = 0; r < replays + kWarmUp; ++r) {
    const double us = timed.time([&](cudaStream_t stream) {
      for (int i = 0; i < items; ++i) call(i, stream);
    });
    if (r >= kWarmUp) times.push_back(us / items);
  }
  return median(times);
}

}  // namespace

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

TimedStream::TimedStream() {
  check(cudaStreamCreate(&stream_));
  check(cudaEventCreate(&start_));
  check(cudaEventCreate(&stop_));
}

TimedStream::~TimedStream() {
  cudaEventDestroy(start_);
  cudaEventDestroy(stop_);
  cudaStreamDestroy(stream_);
}

double TimedStream::time(const std::function<void(cudaStream_t)>& work) const {
  check(cudaEventRecord(start_, stream_));
  work(stream_);
  check(cudaEventRecord(stop_, stream_));
  check(cudaStreamSynchronize(stream_));
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start_, stop_));
  return double(milliseconds) * 1e3;
}

Replay::Replay(int items, const Call& call) : items_(items) {
  cudaGraph_t graph;
  check(cudaStreamBeginCapture(timed_.stream(), cudaStreamCaptureModeGlobal));
  for (int i = 0; i < items; ++i) call(i, timed_.stream());
  check(cudaStreamEndCapture(timed_.stream(), &graph));
  size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  check(cudaGraphGetNodes(graph, nodes.data(), &count));
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type;
    check(cudaGraphNodeGetType(node, &type));
    kernels_ += type == cudaGraphNodeTypeKernel ? 1 : 0;
  }
  check(cudaGraphInstantiate(&graph_, graph, 0));
  check(cudaGraphDestroy(graph));
}

Replay::~Replay() { cudaGraphExecDestroy(graph_); }

std::vector<double> Replay::times(int replays) {
  const auto replay = [this](cudaStream_t stream) { check(cudaGraphLaunch(graph_, stream)); };
  for (int i = 0; i < kWarmUp; ++i) replay(timed_.stream());
  std::vector<double> times;
  for (int i = 0; i < replays; ++i) times.push_back(timed_.time(replay) / items_);
  return times;
}

Machine measure_machine(int replays) {
  Machine machine;
  check(cudaGetDeviceProperties(&machine.device, 0));
  const size_t bytes = size_t(1) << 30;
  const DeviceBuffer from(bytes), to(bytes), sink(16);
  fill_random(from.data, bytes, Type::float32, 1);
  const auto rate = [&](double moved, const Call& call) {
    return moved / median(Replay(4, call).times(replays)) * 1e-3;
  };
  const Call memcpy_once = [&](int, cudaStream_t stream) {
    check(cudaMemcpyAsync(to.data, from.data, bytes, cudaMemcpyDeviceToDevice, stream));
  };
  machine.copy_node = rate(2.0 * double(bytes), memcpy_once);
  machine.copy_stream = 2.0 * double(bytes) / time_stream(4, replays, memcpy_once) * 1e-3;
  machine.copy_kernel = rate(2.0 * double(bytes), [&](int, cudaStream_t stream) {
    copy_all(to.data, from.data, bytes, machine.device.multiProcessorCount, stream);
  });
  machine.copy = std::max({machine.copy_node, machine.copy_stream, machine.copy_kernel});
  machine.read = rate(double(bytes), [&](int, cudaStream_t stream) {
    read_all(from.data, bytes, machine.device.multiProcessorCount, static_cast<uint32_t*>(sink.data), stream);
  });
  return machine;
}

}  // namespace plumbline::bench
