#include "harness/record/state_codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <stdexcept>

namespace plumbline::harness {
namespace {

using Levels = StateCodec::Levels;
constexpr double kAnything = std::numeric_limits<double>::infinity();
constexpr double kSmallestNormal = 0x1p-126;  // of float32: what codecs clamp logarithms to

// low..high
struct Range {
  double low = kAnything, high = -kAnything;
  double middle = 0;
  double reach() const { return std::fmax(high - middle, middle - low); }
};

bool usable(Bounded x) { return std::isfinite(x.value) && x.error < kAnything; }

// max |value|^(1/power) over a block, at least `smallest`
Range extent_of(const StateCodec& codec, std::span<const Bounded> block) {
  double low = 0, middle = 0, high = 0;
  for (const Bounded& x : block) {
    low = std::fmax(low, std::fabs(x.value) - x.error);
    middle = std::fmax(middle, std::fabs(x.value));
    high = std::fmax(high, x.magnitude());
  }
  const auto root = [&](double v) {
    return std::fmax(codec.smallest, codec.power == 1 ? v : std::pow(v, 1 / codec.power));
  };
  return {root(low), root(high), root(middle)};
}

struct LogExtent {
  Range lowest, extent;
  bool two_readings = false;  // values so near that whether they are equal is a matter of rounding
};

double logarithm(double x) { return std::log2(std::fmax(x, kSmallestNormal)); }

// lo and r of a block. A value that may be zero may count or not.
LogExtent log_extent_of(const StateCodec& codec, std::span<const Bounded> block, const CodecArithmetic& a) {
  LogExtent out;
  Range lo{kAnything, kAnything, kAnything}, hi{-kAnything, -kAnything, -kAnything};
  for (const Bounded& x : block) {
    if (x.value == 0 && x.error == 0 && codec.zero_code) continue;
    const double l = logarithm(x.value), off = a.unit * 2 * a.log2_ulps * std::fmax(1, std::fabs(l));
    const double below = logarithm(x.value - x.error) - off, above = logarithm(x.value + x.error) + off;
    lo = {std::fmin(lo.low, below), std::fmin(lo.high, above), std::fmin(lo.middle, l)};
    hi = {std::fmax(hi.low, below), std::fmax(hi.high, above), std::fmax(hi.middle, l)};
  }
  if (codec.lowest) {
    lo = {*codec.lowest, *codec.lowest, *codec.lowest};
    out.extent = {std::fmax(hi.low - lo.high, 0), std::fmax(hi.high - lo.low, 0), std::fmax(hi.middle - lo.middle, 0)};
  } else {
    const bool equal = lo.middle >= hi.middle;
    out.two_readings = lo.high >= hi.low && (!equal || block.size() > 1);
    if (equal) lo = {hi.low - 1, hi.high - 1, hi.middle - 1};
    out.extent = {hi.low - lo.high, hi.high - lo.low, hi.middle - lo.middle};
    if (equal) out.extent = {1 - 4 * a.unit, 1 + 4 * a.unit, 1};
  }
  out.lowest = lo;
  return out;
}

// Distance over what is admitted; equal values are none of it.
double share(double got, double expected, double bound) {
  const double off = std::fabs(got - expected);
  if (off == 0) return 0;
  return bound > 0 && !std::isnan(off) ? off / bound : kAnything;
}

}  // namespace

BlockScale StoredCodes::scale_of(int64_t value, const StateCodec& codec) const {
  const auto k = static_cast<size_t>(value / block);
  return {scales[k] * codec.divisor, codec.lowest ? *codec.lowest : lowest.empty() ? 0 : lowest[k]};
}

int64_t block_of(const StateCodec& codec, const StoredCodes& stored, int64_t count) {
  const auto codes = int64_t(stored.codes.size()), scales = int64_t(stored.scales.size());
  if (codes < count || scales < 1)
    throw std::invalid_argument(fmt::format("{} codes in {} blocks: expected {} values", codes, scales, count));
  int64_t block = codec.block;
  if (block == 0) {
    // a last block may hold fewer codes
    block = codes % scales == 0 ? codes / scales : 0;
    if (block == 0)
      throw std::invalid_argument(
          fmt::format("{} codes for {} scales: expected the same number for each, or 'block'", codes, scales));
  }
  if ((count + block - 1) / block > scales)
    throw std::invalid_argument(
        fmt::format("{} scales for {} values in blocks of {}: expected more", scales, count, block));
  if (codec.needs_lowest() && stored.lowest.size() != stored.scales.size())
    throw std::invalid_argument(
        fmt::format("{} lowest logarithms: expected {}", stored.lowest.size(), stored.scales.size()));
  return block;
}

BoundedVector decode_codes(const StateCodec& codec, const StoredCodes& stored, int64_t count,
                           const CodecArithmetic& arithmetic) {
  BoundedVector out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    out[size_t(i)] = codec.decode(stored.codes[size_t(i)], stored.scale_of(i, codec), arithmetic);
  return out;
}

void judge_codes(int64_t step, const StateCodec& codec, const StoredCodes& stored, const BoundedVector& exact,
                 DType scale_type, const CodecArithmetic& a, QuantityJudge& scale, QuantityJudge& code) {
  const auto count = int64_t(exact.size());
  const bool logarithmic = codec.levels == Levels::logarithmic;
  const int per_block = codec.needs_lowest() ? 2 : 1;
  for (int64_t begin = 0; begin < count; begin += stored.block) {
    const std::span<const Bounded> block(exact.data() + begin, size_t(std::min(stored.block, count - begin)));
    const int64_t b = begin / stored.block;
    const BlockScale read = stored.scale_of(begin, codec);
    const bool zeros = std::all_of(block.begin(), block.end(), [](Bounded x) { return x.value == 0 && x.error == 0; });
    const bool known = std::all_of(block.begin(), block.end(), usable);
    const double got = stored.scales[size_t(b)];
    if (!known) {
      scale.element(step, per_block * b, got, got, kAnything);
    } else if (!(zeros && logarithmic)) {
      const auto judge_one = [&](int64_t index, double stored_value, const Range& range, double divisor) {
        const double expected = range.middle / divisor;
        const double bound = range.reach() / divisor + 4 * a.unit * std::fabs(expected) +
                             half_ulp(scale_type, std::fabs(expected)) * (scale_type == DType::float64 ? 0 : 1);
        scale.record(step, index, stored_value, expected, bound, share(stored_value, expected, bound));
      };
      if (logarithmic) {
        const LogExtent e = log_extent_of(codec, block, a);
        if (e.two_readings) {
          // either values that are equal, or values that are not: their extent is tiny or 1
          const double r = got * codec.divisor;
          const bool fits = std::fabs(r - 1) <= 4 * a.unit || (r >= 0 && r <= e.extent.high + 4 * a.unit);
          scale.record(step, per_block * b, got, e.extent.middle, e.extent.reach(), fits ? 0 : kAnything);
        } else {
          judge_one(per_block * b, got, e.extent, codec.divisor * codec.shrunk);
          if (per_block == 2) judge_one(2 * b + 1, stored.lowest[size_t(b)], e.lowest, 1);
        }
      } else {
        judge_one(b, got, extent_of(codec, block), codec.divisor * codec.shrunk);
      }
    }
    for (size_t i = 0; i < block.size(); ++i) {
      const Bounded x = block[i];
      const int64_t index = begin + int64_t(i), c = stored.codes[size_t(index)];
      if (!usable(x) || !std::isfinite(read.extent)) {
        code.element(step, index, double(c), double(c), kAnything);
        continue;
      }
      if (codec.zero_code) {
        if (x.value == 0 && x.error == 0) {
          code.record(step, index, double(c), 0, 0, c == 0 ? 0 : kAnything);
          continue;
        }
        if (c == 0) {  // only of what may be zero, or below what the codec tells from zero
          const bool may = x.value - x.error <= 0 || x.value <= kSmallestNormal;
          code.record(step, index, 0, codec.position(x.value, read), 0.5, may ? 0 : kAnything);
          continue;
        }
      }
      const std::optional<double> place = codec.place_of(c);
      const double first = codec.first_place(), last = codec.last_place();
      if (!place) {
        code.record(step, index, double(c), codec.position(x.value, read), 0.5, kAnything);
        continue;
      }
      const double from = x.value - x.error, to = x.value + x.error;
      const double at = std::clamp(codec.position(x.value, read), first, last);
      const double low = std::clamp(codec.position(from, read) - codec.position_error(from, read, a), first, last);
      const double high = std::clamp(codec.position(to, read) + codec.position_error(to, read, a), first, last);
      const double bound = std::fmax(high - at, at - low) + (codec.stochastic ? 1 : 0.5);
      double ratio = share(*place, at, bound);
      if (ratio > 1 && codec.keeps_sign && codec.levels == Levels::table) {
        // the nearest level is zero or has the other sign: the next one on the value's side is as good
        const auto nearest = static_cast<size_t>(std::llround(at)), taken = static_cast<size_t>(*place);
        const bool sign_lost = codec.table[nearest] == 0 || (codec.table[nearest] < 0) != (x.value < 0);
        const bool sign_kept = x.value != 0 && (codec.table[taken] < 0) == (x.value < 0);
        if (sign_lost && sign_kept && std::fabs(*place - at) <= 1 + bound - 0.5)
          ratio = std::fabs(*place - at) / (0.5 + bound);
      }
      code.record(step, index, *place, at, bound, ratio);
    }
  }
}

}  // namespace plumbline::harness
