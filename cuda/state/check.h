// Whether stored bytes are such as the library writes.
#pragma once
#include <span>
#include <string>

#include "cuda/plan/plan.h"

namespace plumbline {

// What in the bytes of all `slices` of a slot no write makes: a code or scale out of its range, a used padding nibble,
// a negative second moment, a NaN that is not the canonical one. Empty: nothing. Sizes are the caller's to check.
std::string find_fault(SlotKind kind, const SlotPlan& slot, int64_t slices, std::span<const std::byte> values,
                       std::span<const float> scales);

}  // namespace plumbline
