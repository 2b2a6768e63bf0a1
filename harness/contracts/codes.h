// Stored state: block scales are judged first, then codes given the subject's scales, then decoded values. Random
// roundings are judged with the very draws that the slot's seed, place and number of writes define.
#pragma once
#include <bitset>

#include "harness/contracts/arithmetic.h"
#include "harness/contracts/bounds.h"
#include "harness/judge.h"
#include "harness/subject.h"
#include "reference/codecs/rounding.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// Throws std::runtime_error when sizes do not fit the shape. `seed` is the subject's, of dither.
void decode_slot(const SlotState& slot, const Arithmetic& arithmetic, const std::vector<int64_t>& shape,
                 DecodedSlot& out, uint32_t seed = 0);

struct SlotJudges {
  QuantityJudge& scale;
  QuantityJudge& code;
  QuantityJudge& stored;
};

// What a slot's codes were over the steps of a case.
struct CodeUse {
  std::bitset<256> codes;         // lower bytes in use
  int64_t moved_by_rounding = 0;  // codes that rounding to nearest would not have given
};

// `exact` and `bound` are the reference's value of the slot and how far the subject's may be from it before coding;
// `decoded` is what decode_slot gave. Where the subject shows its own value before coding, pass it instead with a bound
// of zero and what is judged is the coding alone. `least`: no value above 0 is smaller, on either side. Adds to `use`.
void judge_slot(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, const reference::Tensor& exact,
                const reference::Tensor& bound, const reference::Tensor& decoded, SlotJudges judges, CodeUse& use,
                uint32_t seed = 0, double least = 0);

// Would a subject that stored `other` where `exact` is right be outside the contract of the slot's scales or values?
bool storage_notices(const SlotState& slot, const reference::Tensor& other, const reference::Tensor& exact,
                     const reference::Tensor& bound);

}  // namespace plumbline::harness
