#include "cuda/state/draws.h"

#include <algorithm>

namespace plumbline {
namespace {

constexpr int kLanes = 8;  // Philox calls side by side, so that the rounds become vector code

void draw_groups(const core::RoundingStream& stream, int64_t slice, int64_t row, int64_t group, int lanes,
                 uint32_t* __restrict bits) {
  core::PhiloxWords words[kLanes];
  for (int k = 0; k < kLanes; ++k) words[k] = core::draw_group(stream, group + k, row, slice);
  for (int k = 0; k < lanes; ++k) {
    for (int e = 0; e < core::kDraws; ++e) bits[k * core::kDraws + e] = core::draw_bits(words[k], e);
  }
}

}  // namespace

void draw_row(const core::RoundingStream& stream, int64_t slice, int64_t row, int64_t first, int64_t n,
              uint32_t* bits) {
  const int64_t group = first / core::kDraws, groups = (n + core::kDraws - 1) / core::kDraws;
  for (int64_t k = 0; k < groups; k += kLanes)
    draw_groups(stream, slice, row, group + k, int(std::min<int64_t>(kLanes, groups - k)), bits + k * core::kDraws);
}

}  // namespace plumbline
