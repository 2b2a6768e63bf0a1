// Stored state: block scales are judged first, then codes given the subject's scales, then decoded values.
#pragma once
#include <bitset>

#include "harness/contracts/arithmetic.h"
#include "harness/judge.h"
#include "harness/subject.h"
#include "reference/tensor.h"

namespace plumbline::harness {

// A slot as the reference's codec reads it, and how far the subject's own float32 decoding may be from that (relative;
// empty where nothing is decoded). Throws std::runtime_error when sizes do not fit the shape.
struct DecodedSlot {
  reference::Tensor values;
  reference::Tensor relative_error;
};
void decode_slot(const SlotState& slot, const Arithmetic& arithmetic, const std::vector<int64_t>& shape,
                 DecodedSlot& out);

struct SlotJudges {
  QuantityJudge& scale;
  QuantityJudge& code;
  QuantityJudge& stored;
};

// `exact` and `bound` are the reference's value of the slot and how far the subject's may be from it before coding;
// `decoded` is what decode_slot gave. Where the subject shows its own value before coding, pass it instead with a bound
// of zero and what is judged is the coding alone. Marks the codes in use.
void judge_slot(int64_t step, const SlotState& slot, const Arithmetic& arithmetic, const reference::Tensor& exact,
                const reference::Tensor& bound, const reference::Tensor& decoded, SlotJudges judges,
                std::bitset<256>& codes);

}  // namespace plumbline::harness
