// State in codes as a codec's own rule makes them: extents of the blocks, and the code whose place is nearest.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/record/state_codes.h"

namespace plumbline::harness {

inline StoredCodes encode_codes(const StateCodec& codec, const std::vector<double>& values, int64_t block) {
  using Levels = StateCodec::Levels;
  StoredCodes out;
  out.block = block;
  const auto count = int64_t(values.size());
  for (int64_t begin = 0; begin < count; begin += block) {
    double extent = 0, lo = INFINITY, hi = -INFINITY;
    for (int64_t i = begin; i < std::min(count, begin + block); ++i) {
      const double v = values[size_t(i)];
      extent = std::max(extent, std::pow(std::fabs(v), 1 / codec.power));
      if (v == 0 && codec.zero_code) continue;
      lo = std::min(lo, std::log2(std::max(v, 0x1p-126)));
      hi = std::max(hi, std::log2(std::max(v, 0x1p-126)));
    }
    if (codec.levels != Levels::logarithmic) {
      out.scales.push_back(float(std::max(extent, codec.smallest) / codec.divisor));
      continue;
    }
    if (hi < lo) hi = lo = 0;  // zeros alone
    if (codec.lowest) lo = *codec.lowest;
    if (!codec.lowest && lo >= hi) lo = hi - 1;
    out.scales.push_back(float(std::max(hi - lo, codec.smallest) / codec.divisor / codec.shrunk));
    if (codec.needs_lowest()) out.lowest.push_back(float(lo));
  }
  for (int64_t i = 0; i < (count + block - 1) / block * block; ++i) {
    const double v = i < count ? values[size_t(i)] : 0;
    int64_t code = 0;
    if (v != 0 || !codec.zero_code) {
      const double place = std::clamp(std::nearbyint(codec.position(v, out.scale_of(i, codec))), codec.first_place(),
                                      codec.last_place());
      code = int64_t(place);
      if (codec.levels == Levels::table)
        code = std::find(codec.ranks.begin(), codec.ranks.end(), int32_t(place)) - codec.ranks.begin();
    }
    out.codes.push_back(code);
  }
  return out;
}

}  // namespace plumbline::harness
