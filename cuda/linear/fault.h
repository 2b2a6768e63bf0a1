// Deliberate faults of the linear layer, for showing that a suite of checks can fail. The host twin and the emulated
// kernels obey them; on a GPU the switch is a constant and costs nothing.
#pragma once
#include "cuda/core/platform.h"

namespace plumbline::linear {

enum class Fault : uint8_t {
  none,
  round_half_up,           // codes: ties go up instead of to even
  scale_per_tensor,        // one scale for all rows instead of one a row
  code_minus_128,          // s = absmax/128, codes down to -128
  lost_tail,               // inputs beyond the last whole 64 are left out of the int8 product
  neighbour_scale,         // an output takes the weight scale of the next one
  neighbour_bias,          // an output takes the bias of the next one
  small_batch_off_by_one,  // 16 tokens are quantized already
  hidden_nonfinite,        // a row that is not finite is scaled as if it were
  flushed_subnormals,      // E4M3: subnormals become 0
  shifted_block,           // E4M3: the scale of a block reaches one input into the next
};

PLUMBLINE_HD constexpr Fault active([[maybe_unused]] Fault fault) {
#ifdef __CUDA_ARCH__
  return Fault::none;
#else
  return fault;
#endif
}

}  // namespace plumbline::linear
