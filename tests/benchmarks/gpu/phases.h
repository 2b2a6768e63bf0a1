// One factored or full tensor on the GPU, the launches of its step one by one, and data to run them on.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "cuda/api/optimizer.h"

namespace plumbline::bench {

class Phases {
 public:
  Phases(const TensorSpec& spec, const GroupOptions& options);
  ~Phases();
  Phases(const Phases&) = delete;
  Phases& operator=(const Phases&) = delete;

  // Kernels of a step in order; a name may come twice.
  std::vector<std::string> names() const;
  // Enqueues launch number `i`; those of one step have run in order before it is timed alone.
  void run(size_t i, const TensorPointers& pointers, cudaStream_t stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Random signs and mantissas, magnitudes in [2^-9, 2^-7): data of one kind for every type.
void fill_random(void* memory, size_t bytes, Type type, uint32_t seed);
// Reads `bytes` (a multiple of 16) and writes next to nothing.
void read_all(const void* memory, size_t bytes, int multiprocessors, uint32_t* sink, cudaStream_t stream);
// Launches a kernel named step_marker that does nothing: a border in a profiler's list of kernels.
void mark_step(cudaStream_t stream);
// Copies `bytes` (a multiple of 16) by a kernel.
void copy_all(void* to, const void* from, size_t bytes, int multiprocessors, cudaStream_t stream);

}  // namespace plumbline::bench
