// The one way of a CUDA error: an exception with file and line.
#pragma once
#include <cuda_runtime_api.h>

#include <source_location>

#include "cuda/api/optimizer.h"

namespace plumbline::gpu {

// Throws CudaError unless the call succeeded; out of memory throws std::bad_alloc.
void check(cudaError_t error, std::source_location site = std::source_location::current());

}  // namespace plumbline::gpu
