// Random bits for a run of values, as core/rounding.h gives them one by one.
#pragma once
#include "cuda/core/rounding.h"

namespace plumbline {

// The 16 bits of columns [first, first + n) of a row, one word each; first is a multiple of core::kDraws, and `bits`
// has room for n rounded up to one.
void draw_row(const core::RoundingStream& stream, int64_t slice, int64_t row, int64_t first, int64_t n, uint32_t* bits);

}  // namespace plumbline
