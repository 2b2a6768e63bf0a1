// Known answers of a soak, as the host computes them.
#include "cuda/diagnostics/dispatch.h"
#include "cuda/diagnostics/soak_engine.h"
#include "cuda/diagnostics/tensor_chain.h"

namespace plumbline::diagnostics {

std::vector<uint64_t> chain_answers(uint32_t seed, int iterations, int threads) {
  std::vector<uint64_t> sums(kChainThreads);
  for_each(threads, kChainThreads,
           [&](int64_t t) { sums[size_t(t)] = run_chain<false>(seed, int(t), iterations, false, {}); });
  return sums;
}

// The product of a warp's fragments: (16 x 32)(32 x 8) in 8-bit integers, exact in 32 bits. Fragments lie as the
// instruction wants them: PTX ISA, "Matrix fragments for mma.m16n8k32".
std::vector<uint64_t> tensor_answers(uint32_t seed, int iterations) {
  std::vector<uint32_t> hash(kWarpLanes);
  std::vector<uint64_t> sum(kWarpLanes, 0);
  for (int lane = 0; lane < kWarpLanes; ++lane) hash[size_t(lane)] = tensor_start(seed, lane);
  for (int i = 0; i < iterations; ++i) {
    int8_t a[16][32], b[32][8];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
      const int group = lane / 4, quarter = lane % 4;
      const TensorFragments f = tensor_fragments(hash[size_t(lane)]);
      for (int byte = 0; byte < 4; ++byte) {
        const int k = quarter * 4 + byte;
        const auto part = [&](uint32_t word) { return int8_t(uint8_t(word >> (8 * byte))); };
        a[group][k] = part(f.a[0]);
        a[group + 8][k] = part(f.a[1]);
        a[group][k + 16] = part(f.a[2]);
        a[group + 8][k + 16] = part(f.a[3]);
        b[k][group] = part(f.b[0]);
        b[k + 16][group] = part(f.b[1]);
      }
    }
    int32_t c[16][8] = {};
    for (int row = 0; row < 16; ++row)
      for (int k = 0; k < 32; ++k)
        for (int col = 0; col < 8; ++col) c[row][col] += int32_t(a[row][k]) * int32_t(b[k][col]);
    for (int lane = 0; lane < kWarpLanes; ++lane) {
      const int group = lane / 4, col = lane % 4 * 2;
      const int32_t d[4] = {c[group][col], c[group][col + 1], c[group + 8][col], c[group + 8][col + 1]};
      hash[size_t(lane)] = tensor_absorb(hash[size_t(lane)], d);
      sum[size_t(lane)] = mix64(sum[size_t(lane)] + hash[size_t(lane)]);
    }
  }
  return sum;
}

uint64_t output_hash(const std::vector<float>& values) {
  uint64_t sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += word_term(i, core::to_bits(values[i]));
  return sum;
}

}  // namespace plumbline::diagnostics
