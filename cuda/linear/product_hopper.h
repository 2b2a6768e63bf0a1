// The int8 product by Hopper's warpgroup instructions (compute capability 9.0 alone has them).
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "cuda/kernels/check.h"
#include "cuda/linear/tasks.h"

namespace plumbline::gpu {

// Whether the device has them.
bool is_hopper(int device);

// Once for every device, which is the current one, before the first product on it: its kernels take more shared memory
// than a launch may ask for otherwise.
void prepare_product_hopper();

// w_scale and bias go on with zeros to a multiple of 256 outputs; rows of codes have a pitch that is a multiple of 128.
// `alone`: without clusters of two blocks. No choice changes a bit.
void run_product_hopper(const linear::ProductTask& task, int multiprocessors, bool alone, cudaStream_t stream);

}  // namespace plumbline::gpu
