// Production's codecs against the reference's, which share no line: the same draws, and the same codes wherever the
// reference's is not within production's float32 error of another.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <random>
#include <vector>

#include "cuda/core/codec.h"
#include "cuda/core/number.h"
#include "cuda/core/rounding.h"
#include "cuda/core/uniform.h"
#include "reference/codecs/float_format.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_codec.h"
#include "reference/codecs/nibbles.h"
#include "reference/codecs/rounding.h"
#include "reference/codecs/uniform.h"

namespace plumbline {
namespace {

constexpr double kUnit = 0x1p-24;

std::mt19937_64 seeded() {
  const uint64_t seed = std::random_device{}();
  testing::Test::RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

// float32 values over `octaves` octaves below 1.
std::vector<float> block(std::mt19937_64& random, double octaves, bool with_signs) {
  std::uniform_real_distribution<double> exponent(-octaves, 0);
  std::vector<float> out(64);
  for (float& v : out) {
    v = random() % 11 == 0 ? 0.0f : float(std::exp2(exponent(random)));
    if (with_signs && random() % 2) v = -v;
  }
  return out;
}

core::BlockRange range_of(const std::vector<float>& values) {
  core::BlockRange range;
  for (const float v : values) core::include(range, v);
  return range;
}

TEST(CodecReference, DrawsAreTheSame) {
  auto random = seeded();
  for (int i = 0; i < 2000; ++i) {
    const auto seed = uint32_t(random()), tensor = uint32_t(random() % 1000), writes = uint32_t(random());
    const int slot = int(random() % 16);
    const auto column = int64_t(random() >> (24 + random() % 40)), row = int64_t(random() % 70000),
               slice = int64_t(random() % 9);
    const reference::RoundingStream ours{seed, 16 * tensor + uint32_t(slot), writes};
    const core::RoundingStream theirs = core::rounding_stream(seed, tensor, slot, writes);
    ASSERT_EQ(double(core::uniform_of(core::draw_bits(theirs, column, row, slice))), ours.uniform(column, row, slice));
    ASSERT_EQ(double(core::draw_dither(theirs, column, row, slice)), ours.offset(column, row, slice));
  }
}

struct LogPair {
  Storage storage;
  reference::LogCodec codec;
};

// Distance of the reference's decision from the point where it would turn, in codes, and production's error there.
TEST(CodecReference, LogCodesAgreeAwayFromTies) {
  auto random = seeded();
  int close = 0, all = 0;
  for (const auto& [storage, codec] : {LogPair{Storage::al8, reference::kAl8},
                                       {Storage::al16, reference::kAl16},
                                       {Storage::log_u8, reference::kLogU8}})
    for (int repeat = 0; repeat < 60; ++repeat) {
      const auto values = block(random, 8 + double(random() % 80), false);
      const core::BlockScale s = core::block_scale(storage, range_of(values));
      const std::vector<double> exact(values.begin(), values.end());
      const reference::LogScale scale = codec.scale_of(exact);
      EXPECT_NEAR(s.lo, scale.lo, 2e-5);  // an ulp of log2 below 128, twice for r
      EXPECT_NEAR(s.r, scale.r, 4e-5);
      const reference::LogScale given{s.lo, s.r};
      const auto bits = uint32_t(random() & 0xffff);
      const float u = core::uniform_of(bits), delta = core::dither_of(bits);
      for (const float v : values) {
        if (v == 0) continue;
        const double x = codec.unrounded_code(v, given), distance = x - codec.first;
        // an ulp of log2, three roundings of the distance, one of the shift
        const double band = 0x1p-17 * codec.steps() / s.r + 4 * kUnit * distance + kUnit * x + 1e-6;
        const auto check = [&](Rounding rounding, int expected, double margin) {
          const auto code =
              int(core::encode(storage, rounding, v, core::block_encoder(storage, s, rounding, delta), u));
          ++all;
          close += margin <= band;
          ASSERT_LE(std::abs(code - expected), 1) << v;
          if (margin > band) {
            ASSERT_EQ(code, expected) << v << " " << x << " " << int(rounding);
          }
        };
        check(Rounding::nearest, codec.encode(v, given), std::abs(x - std::floor(x) - 0.5));
        const double y = distance / codec.steps() * (codec.steps() - 1) + codec.first + 0.5 + double(delta);
        check(Rounding::dither, codec.encode_dither(v, given, delta), std::abs(y - std::floor(y) - 0.5));
        // The threshold in decoded values: their error, in parts of the gap, and where floor(x) turns.
        const int below = std::min(int(std::floor(x)), codec.last - 1);
        const double low = codec.decode(below, given), gap = codec.decode(below + 1, given) - low;
        const double slack = 16 * kUnit * (1 + s.r * std::numbers::ln2 / 16) * v / gap;
        const double turn = std::min({std::abs((v - low) / gap - double(u)), x - std::floor(x), std::ceil(x) - x});
        check(Rounding::stochastic, codec.encode_stochastic(v, given, u), turn - slack);
      }
    }
  EXPECT_LE(close, all / 4);  // most are far enough away to tell
}

TEST(CodecReference, LogCodesDecodeAlike) {
  auto random = seeded();
  for (const auto& [storage, codec] : {LogPair{Storage::al8, reference::kAl8},
                                       {Storage::al16, reference::kAl16},
                                       {Storage::log_u8, reference::kLogU8}})
    for (int repeat = 0; repeat < 20; ++repeat) {
      const float lo = storage == Storage::log_u8 ? -126.0f : -float(random() % 126000) / 1000;
      const float r = 1 + float(random() % 90000) / 1000, delta = core::dither_of(uint32_t(random() & 0xffff));
      const auto nearest = core::block_decoder(storage, {lo, r});
      const auto dithered = core::block_decoder(storage, {lo, r}, Rounding::dither, delta);
      for (int code = 0; code <= codec.last; code += codec.last > 255 ? 97 : 1) {
        const auto check = [&](double got, double expected) {
          if (expected < 0x1p-126) return;  // float32 loses bits there
          // the exponent beside `whole` is off by its roundings, in octaves; the power by an ulp, the factor by one
          ASSERT_NEAR(got / expected, 1, (5 * double(r) + 8) * kUnit) << code;
        };
        const double exact = codec.decode(code, {lo, r});
        if (exact == 0) {
          ASSERT_EQ(core::decode(storage, uint32_t(code), nearest), 0);
          continue;
        }
        check(core::decode(storage, uint32_t(code), nearest), exact);
        check(core::decode(storage, uint32_t(code), dithered), codec.decode_dither(code, {lo, r}, delta));
      }
    }
}

TEST(CodecReference, LinearCodesAgreeAwayFromTies) {
  auto random = seeded();
  for (int repeat = 0; repeat < 60; ++repeat) {
    const auto values = block(random, 12, false);
    const core::BlockScale s = core::block_scale(Storage::linear_u8, range_of(values));
    const float u = core::uniform_of(uint32_t(random() & 0xffff));
    for (const float v : values) {
      const double x = reference::LinearU8::unrounded_code(v, {s.lo}), part = x - std::floor(x);
      const auto code = [&](Rounding rounding) {
        const auto encoder = core::block_encoder(Storage::linear_u8, s, rounding);
        return core::encode(Storage::linear_u8, rounding, v, encoder, u);
      };
      if (std::abs(part - 0.5) > 1e-4) {
        ASSERT_EQ(code(Rounding::nearest), reference::LinearU8::encode(v, {s.lo})) << v;
      }
      const double up = x < 1 ? 2 * x - 1 : part;  // of half a step, what code 0 decodes to
      if (std::abs(up - double(u)) > 1e-3 && part > 1e-3 && part < 1 - 1e-3) {
        ASSERT_EQ(code(Rounding::stochastic), reference::LinearU8::encode_stochastic(v, {s.lo}, u)) << v;
      }
    }
  }
}

TEST(CodecReference, MomentumCodesAgreeAwayFromTies) {
  auto random = seeded();
  for (const auto& [storage, codec] : {std::pair{Storage::uf8, reference::kUf8}, {Storage::uf4, reference::kUf4}})
    for (int repeat = 0; repeat < 100; ++repeat) {
      const auto values = block(random, 10, true);
      const float scale = core::uniform_scale(range_of(values)), delta = core::dither_of(uint32_t(random() & 0xffff));
      const float u = core::uniform_of(uint32_t(random() & 0xffff));
      EXPECT_EQ(double(scale), codec.scale_of(std::vector<double>(values.begin(), values.end())));
      const auto nearest = core::uniform_block(storage, Rounding::nearest, scale, 0);
      const auto stochastic = core::uniform_block(storage, Rounding::stochastic, scale, 0);
      const auto dithered = core::uniform_block(storage, Rounding::dither, scale, delta);
      for (const float x : values) {
        const auto far = [](double y, double turn) {
          const double part = y - std::floor(y);
          return std::abs(part - turn) > 1e-4 && part > 1e-4 && part < 1 - 1e-4;
        };
        const double y = double(x) / scale;
        const int code = codec.encode(x, scale), up = codec.encode_stochastic(x, scale, u);
        const int off = codec.encode_dither(x, scale, delta);
        if (far(y * codec.steps, 0.5)) {
          ASSERT_EQ(int(core::encode_uniform(x, nearest)), code) << x;
        }
        if (far(y * (codec.steps - 1), double(u))) {
          ASSERT_EQ(int(core::encode_uniform_stochastic(x, stochastic, u)), up) << x;
        }
        if (far(y * (codec.steps - 1.5) + double(delta), 0.5)) {
          ASSERT_EQ(int(core::encode_uniform(x, dithered)), off) << x;
        }
        // three roundings, and the sum code - delta
        ASSERT_NEAR(core::decode_uniform(float(code), nearest), codec.decode(code, scale), 4 * kUnit * scale);
        ASSERT_NEAR(core::decode_uniform(float(up), stochastic), codec.decode_stochastic(up, scale), 4 * kUnit * scale);
        ASSERT_NEAR(core::decode_uniform(float(off), dithered), codec.decode_dither(off, scale, delta),
                    4 * kUnit * scale);
      }
    }
}

TEST(CodecReference, NibblesAreTheSame) {
  for (int first = -8; first < 8; ++first)
    for (int second = -8; second < 8; ++second)
      EXPECT_EQ(core::pack_nibbles(first, second), reference::pack_nibbles(first, second));
}

TEST(CodecReference, SixteenBitRoundingsAreTheSame) {
  auto random = seeded();
  for (int i = 0; i < 200000; ++i) {
    const auto bits = uint32_t(random());
    const float x = std::bit_cast<float>(bits);
    if (std::isnan(x)) continue;
    const auto draw = uint32_t(random() & 0xffff);
    core::bf16 nearest, stochastic;
    core::narrow(x, nearest);
    core::narrow_stochastic(x, draw, stochastic);
    ASSERT_EQ(double(core::widen(nearest)), reference::kBfloat16.nearest(x)) << x;
    ASSERT_EQ(double(core::widen(stochastic)), reference::kBfloat16.stochastic(x, (draw + 0.5) * 0x1p-16)) << x;
    core::f16 half, drawn;
    core::narrow(x, half);
    ASSERT_EQ(double(core::widen(half)), reference::kFloat16.nearest(x)) << x;
    if (std::abs(x) < 0x1p-14f || std::abs(x) >= 65504) continue;  // subnormals cut their remainder to 16 bits
    core::narrow_stochastic(x, draw, drawn);
    ASSERT_EQ(double(core::widen(drawn)), reference::kFloat16.stochastic(x, (draw + 0.5) * 0x1p-16)) << x;
  }
}

}  // namespace
}  // namespace plumbline
