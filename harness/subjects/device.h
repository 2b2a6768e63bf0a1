// The GPU that the subject `cuda` runs on.
#pragma once
#include "harness/result.h"

namespace plumbline::harness {

// Fills the GPU's fields; leaves them empty where there is none, or in a build without CUDA.
void describe_gpu(RunDescription& run);

}  // namespace plumbline::harness
