// Properties of every codec, over generated blocks: each says what it would catch.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "reference/codecs/float_format.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_codec.h"
#include "reference/codecs/uniform.h"

namespace plumbline::reference {
namespace {

const std::vector<LogCodec> kLogCodecs{kAl8, kAl16, kLogU8, LogCodec{0, 255}, LogCodec{0, 255, -40.0}};

// Bit patterns: subnormals, extremes and zeros come as often as ordinary values. Finite, and not negative.
double any_float() {
  const auto exponent = static_cast<uint32_t>(*rc::gen::inRange(0, 255)), fraction = *rc::gen::arbitrary<uint32_t>();
  const auto kind = *rc::gen::inRange(0, 8);
  if (kind == 0) return 0;
  if (kind == 1) return std::bit_cast<float>(fraction & 0x7fffff);                 // subnormal
  if (kind == 2) return std::bit_cast<float>(0x7f000000 | (fraction & 0x7fffff));  // the highest octave
  return std::bit_cast<float>(exponent << 23 | (fraction & 0x7fffff));
}

std::vector<double> any_block() {
  std::vector<double> values(static_cast<size_t>(*rc::gen::inRange(1, 40)));
  for (double& v : values) v = any_float();
  return values;
}

double signed_float() { return *rc::gen::inRange(0, 2) ? any_float() * 0x1p-130 : -any_float() * 0x1p-130; }

// Would catch a grid that decoding and encoding see differently.
RC_GTEST_PROP(CodecProperties, NearestIsIdempotent, ()) {
  const auto values = any_block();
  for (const LogCodec& codec : kLogCodecs) {
    const LogScale scale = codec.scale_of(values).stored();
    for (const double v : values) {
      const int code = codec.encode(v, scale);
      RC_ASSERT(codec.encode(codec.decode(code, scale), scale) == code);
    }
  }
  const LinearScale linear = LinearU8::scale_of(values).stored();
  for (const double v : values) {
    const uint8_t code = LinearU8::encode(v, linear);
    RC_ASSERT(LinearU8::encode(LinearU8::decode(code, linear), linear) == code);
  }
}

// Would catch a wrong end, a lost clamp, a scale of the wrong block.
RC_GTEST_PROP(CodecProperties, WhatIsReadBackLiesWithinItsReach, ()) {
  const auto values = any_block();
  const double u = (*rc::gen::inRange(0, 65536) + 0.5) / 65536, d = u - 0.5;
  for (const LogCodec& codec : kLogCodecs) {
    const LogScale scale = codec.scale_of(values).stored();
    for (const double v : values) {
      const auto within = [&](double got, Rounding rounding) {
        const Interval r = codec.reach(v, scale, rounding);
        RC_LOG() << v << " -> " << got << " in [" << r.low << ", " << r.high << "], lo " << scale.lo << ", r "
                 << scale.r << ", codes " << codec.first << " to " << codec.last << "\n";
        return got >= r.low * (1 - 1e-12) && got <= r.high * (1 + 1e-12);
      };
      RC_ASSERT(within(codec.decode(codec.encode(v, scale), scale), Rounding::nearest));
      RC_ASSERT(within(codec.decode(codec.encode_stochastic(v, scale, u), scale), Rounding::stochastic));
      RC_ASSERT(within(codec.decode_dither(codec.encode_dither(v, scale, d), scale, d), Rounding::dither));
    }
  }
}

// Would catch codes that wrap, and a draw that outweighs the value.
RC_GTEST_PROP(CodecProperties, CodesAreMonotone, ()) {
  auto values = any_block();
  std::sort(values.begin(), values.end());
  const double u = (*rc::gen::inRange(0, 65536) + 0.5) / 65536;
  for (const LogCodec& codec : kLogCodecs) {
    const LogScale scale = codec.scale_of(values).stored();
    for (size_t i = 1; i < values.size(); ++i) {
      RC_ASSERT(codec.encode(values[i - 1], scale) <= codec.encode(values[i], scale));
      RC_ASSERT(codec.encode_stochastic(values[i - 1], scale, u) <= codec.encode_stochastic(values[i], scale, u));
      RC_ASSERT(codec.encode_dither(values[i - 1], scale, u - 0.5) <= codec.encode_dither(values[i], scale, u - 0.5));
    }
  }
  const LinearScale linear = LinearU8::scale_of(values).stored();
  for (size_t i = 1; i < values.size(); ++i)
    RC_ASSERT(LinearU8::encode_stochastic(values[i - 1], linear, u) <=
              LinearU8::encode_stochastic(values[i], linear, u));
}

// Would catch a value that becomes 0 because it is small, or a 0 that becomes small.
RC_GTEST_PROP(CodecProperties, ZeroIsExactWhereItHasACode, ()) {
  const auto values = any_block();
  const double u = (*rc::gen::inRange(0, 65536) + 0.5) / 65536;
  for (const LogCodec& codec : {kAl8, kAl16}) {
    const LogScale scale = codec.scale_of(values).stored();
    for (const double v : values) {
      RC_ASSERT((codec.encode(v, scale) == 0) == (v == 0));
      RC_ASSERT((codec.encode_stochastic(v, scale, u) == 0) == (v == 0));
      RC_ASSERT((codec.encode_dither(v, scale, u - 0.5) == 0) == (v == 0));
    }
    RC_ASSERT(codec.decode(0, scale) == 0 && codec.decode_dither(0, scale, u - 0.5) == 0);
  }
}

// Would catch a range that leaves codes unused: the block's extremes take the first and the last.
RC_GTEST_PROP(CodecProperties, ExtremesTakeTheEndsOfTheGrid, ()) {
  auto values = any_block();
  values.push_back(1);
  values.push_back(0x1p-30);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  double smallest = *high;
  for (const double v : values)
    if (v > 0) smallest = std::min(smallest, v);
  for (const LogCodec& codec : {kAl8, kAl16}) {
    const LogScale scale = codec.scale_of(values).stored();
    RC_ASSERT(codec.encode(smallest, scale) == codec.first);
    RC_ASSERT(codec.encode(*high, scale) == codec.last);
  }
  RC_ASSERT(*low <= smallest);
}

// Would catch a scale by anything but powers: v -> 2^k v shifts lo and leaves codes alone.
RC_GTEST_PROP(CodecProperties, ScalingByPowersShiftsTheGrid, ()) {
  std::vector<double> values(8), shifted(8);
  const int k = *rc::gen::inRange(-20, 20);
  for (size_t i = 0; i < 8; ++i) {
    values[i] = std::exp2(*rc::gen::inRange(-40000, 40000) / 1000.0);
    shifted[i] = std::ldexp(values[i], k);
  }
  const LogScale scale = kAl8.scale_of(values), moved = kAl8.scale_of(shifted);
  RC_ASSERT(std::abs(moved.lo - scale.lo - k) <= 1e-13 * 80);
  for (size_t i = 0; i < 8; ++i) {
    const double x = kAl8.unrounded_code(values[i], scale);
    if (std::abs(x - std::floor(x) - 0.5) > 1e-9)
      RC_ASSERT(kAl8.encode(values[i], scale) == kAl8.encode(shifted[i], moved));
  }
}

// Would catch a code range that is not symmetric.
RC_GTEST_PROP(CodecProperties, SignsAreTreatedAlike, ()) {
  const double x = signed_float(), scale = std::max(std::abs(x), 1e-12) * (1 + *rc::gen::inRange(0, 100) / 10.0);
  for (const UniformCodec& codec : {kUf4, kUf8}) RC_ASSERT(codec.encode(-x, scale) == -codec.encode(x, scale));
  RC_ASSERT(kBfloat16.nearest(-x) == -kBfloat16.nearest(x));
}

RC_GTEST_PROP(CodecProperties, MomentumIsIdempotentAndWithinItsReach, ()) {
  std::vector<double> values(static_cast<size_t>(*rc::gen::inRange(1, 40)));
  for (double& v : values) v = signed_float();
  const double u = (*rc::gen::inRange(0, 65536) + 0.5) / 65536, d = u - 0.5;
  for (const UniformCodec& codec : {kUf4, kUf8}) {
    const double scale = static_cast<float>(codec.scale_of(values));
    for (const double x : values) {
      const int code = codec.encode(x, scale);
      const auto within = [&](double got, Rounding rounding) {
        const Interval r = codec.reach(x, scale, rounding);
        return got >= r.low - 1e-12 * scale && got <= r.high + 1e-12 * scale;
      };
      RC_ASSERT(std::abs(code) <= codec.steps);
      RC_ASSERT(codec.encode(codec.decode(code, scale), scale) == code);
      RC_ASSERT(within(codec.decode(code, scale), Rounding::nearest));
      RC_ASSERT(within(codec.decode_stochastic(codec.encode_stochastic(x, scale, u), scale), Rounding::stochastic));
      RC_ASSERT(within(codec.decode_dither(codec.encode_dither(x, scale, d), scale, d), Rounding::dither));
    }
  }
}

// Unbiased with the library's own random numbers, not only over a grid of draws: within six standard deviations of the
// mean of 20,000 (a share of 2e-9 of seeds would fail). Dither has one draw a block: the block is the unit.
TEST(CodecProperties, LibraryDrawsAreUnbiased) {
  constexpr int kDraws = 20000;
  const LogScale scale{-30, 60};
  const double v = 0x1.37p-11;
  const Interval near = kAl8.reach(v, scale, Rounding::stochastic);
  const double a = std::log(2.0) * scale.r / 506;
  double stochastic = 0, dithered = 0, even = 0, even_dithered = 0;
  for (int i = 0; i < kDraws; ++i) {
    const RoundingStream stream{41, 3, 5};
    const double u = stream.uniform(i, 2, 1), d = stream.offset(i, 2, 1);
    stochastic += kAl8.decode(kAl8.encode_stochastic(v, scale, u), scale) / kDraws;
    dithered += kAl8.decode_dither(kAl8.encode_dither(v, scale, d), scale, d) / kDraws;
    even += kUf4.decode_stochastic(kUf4.encode_stochastic(-0.41, 1, u), 1) / kDraws;
    even_dithered += kUf4.decode_dither(kUf4.encode_dither(-0.41, 1, d), 1, d) / kDraws;
  }
  const double sigmas = 6 / std::sqrt(double(kDraws));
  EXPECT_LE(std::abs(stochastic - v), sigmas * std::sqrt((near.high - v) * (v - near.low)));
  EXPECT_LE(std::abs(dithered - v), sigmas * v * std::sqrt(a / std::tanh(a) - 1));
  EXPECT_LE(std::abs(even + 0.41), sigmas * 0.5 / 6);
  EXPECT_LE(std::abs(even_dithered + 0.41), sigmas / 5.5 / std::sqrt(12.0));
}

}  // namespace
}  // namespace plumbline::reference
