// The one way of a CUDA error: an exception with file and line.
#pragma once
#include <cuda_runtime_api.h>

#include "cuda/api/optimizer.h"
#include "cuda/plan/site.h"

namespace plumbline::gpu {

// Throws CudaError unless the call succeeded; out of memory throws std::bad_alloc.
void check(cudaError_t error, Site site = Site::current());

}  // namespace plumbline::gpu
