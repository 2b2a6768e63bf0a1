// Slots of state on the host: a slot's stored bytes to float32 values and back, a range of one row at a time.
#pragma once
#include <cstddef>

#include "cuda/plan/plan.h"

namespace plumbline {

// Values [first, first + count) of a row of matrix `slice`; a second moment has row 0 alone. In a quantized slot
// `first` is a multiple of the block, and so is `count` unless it reaches the end of the row.
struct SlotRange {
  int64_t slice, row, first, count;
};

// `state` is the start of the state arena; `writes` of the slot so far, to decode, and before this one, to encode: what
// one write encoded is decoded with one more.
void decode_slot(const SlotPlan& slot, const std::byte* state, const SlotRange& range, uint32_t writes, float* values);
// Stores unquantized values; every stored NaN is the canonical one.
void encode_slot(const SlotPlan& slot, std::byte* state, const SlotRange& range, uint32_t writes, const float* values);

}  // namespace plumbline
