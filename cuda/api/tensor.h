// What a program tells the library about its tensors, and where the library takes its memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/api/options.h"

namespace plumbline {

// Where steps run. Each gives the same bits.
enum class Backend : uint8_t {
  host,      // CPU, OptimizerConfig::threads cores
  cuda,      // a GPU of compute capability 7.0 or higher
  emulator,  // the GPU's kernels on the CPU, one fiber a thread: to find faults, not to train
};

// cudaStream_t on the GPU; null (and ignored) elsewhere.
using Stream = void*;

struct TensorSpec {
  std::string name;  // in messages and, unique among the tensors, in checkpoints
  // Row-major extents: >= 1 axes, each extent >= 1, at most 2^40 elements. With two axes or more the last two are
  // factored (at most 2^30 each) and the rest is a batch of such matrices; with a projection the first axis is the rows
  // of one matrix and the rest its columns. One axis has a full second moment.
  std::vector<int64_t> shape;
  Type parameter = Type::float32;
  Type gradient = Type::float32;
  int group = 0;  // index into the groups given at construction
};

// Row-major and contiguous, 16-byte aligned, in memory of the backend's device: the gradient is read, the parameter is
// updated. No parameter may share memory with any other parameter or gradient of the step; gradients may with each
// other.
struct TensorPointers {
  void* parameter = nullptr;
  const void* gradient = nullptr;
  bool operator==(const TensorPointers&) const = default;
};

// A program's own allocator. The library asks for all its memory at construction (and in set_precision), never in a
// step: state, scratch and, on a device, tables. It must outlive the optimizer.
class MemoryResource {
 public:
  virtual ~MemoryResource() = default;
  virtual void* allocate(size_t bytes) = 0;  // 256-byte aligned, on the backend's device; throws std::bad_alloc
  virtual void deallocate(void* memory, size_t bytes) noexcept = 0;
};

struct OptimizerConfig {
  Backend backend = Backend::host;
  int device = 0;                     // CUDA device number
  MemoryResource* memory = nullptr;   // null: cudaMalloc on the GPU, aligned new elsewhere
  bool record_second_moment = false;  // verification: keep what StepRecord shows of whole tensors
  int threads = 1;                    // host: cores to use, 1 to 1024; cannot change a bit
  uint64_t schedule_seed = 0;         // emulator: which adversarial schedule of threads
};

}  // namespace plumbline
