// State that a peer keeps in codes: block scales judged against the values that were coded, codes judged given the
// recorded scales, values decoded from both.
#pragma once
#include <vector>

#include "harness/contracts/bounded.h"
#include "harness/format.h"
#include "harness/judge.h"
#include "harness/record/state_codec.h"

namespace plumbline::harness {

// A slot after one step, as it is stored, in the peer's order.
struct StoredCodes {
  std::vector<int64_t> codes;  // unpacked; what lies behind the values is padding
  std::vector<double> scales;
  std::vector<double> lowest;  // of logarithms; empty where the codec has one for all
  int64_t block = 1;           // values of one scale

  BlockScale scale_of(int64_t value, const StateCodec& codec) const;
};

// Values per scale. Throws std::invalid_argument where codes, scales and `count` values do not fit each other.
int64_t block_of(const StateCodec& codec, const StoredCodes& stored, int64_t count);

BoundedVector decode_codes(const StateCodec& codec, const StoredCodes& stored, int64_t count,
                           const CodecArithmetic& arithmetic);

// What a step left of `exact`, whose errors say what the peer may have coded instead. A block of zeros is judged by
// what its codes stand for. `scale_type` is that of the recorded scales.
void judge_codes(int64_t step, const StateCodec& codec, const StoredCodes& stored, const BoundedVector& exact,
                 DType scale_type, const CodecArithmetic& arithmetic, QuantityJudge& scale, QuantityJudge& code);

}  // namespace plumbline::harness
