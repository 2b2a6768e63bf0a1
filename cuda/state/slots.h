// Slots of state on the host: a slot's stored bytes to float32 values and back, a range of one matrix at a time.
#pragma once
#include <cstddef>

#include "cuda/plan/plan.h"

namespace plumbline {

// Values [first, first + count) of matrix `slice`; `state` is the start of the state arena. In a quantized slot `first`
// is a multiple of the block, and so is `count` unless it reaches the end of the matrix.
void decode_slot(const SlotPlan& slot, const std::byte* state, int64_t slice, int64_t first, int64_t count,
                 float* values);
// Stores unquantized values; every stored NaN is the canonical one.
void encode_slot(const SlotPlan& slot, std::byte* state, int64_t slice, int64_t first, int64_t count,
                 const float* values);

}  // namespace plumbline
