#include "cuda/core/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace plumbline::core {
namespace {

struct Coded {
  BlockScale scale;
  std::vector<uint8_t> codes;
};
Coded encode_block(Storage storage, const std::vector<float>& values) {
  BlockRange range;
  for (float v : values) include(range, v);
  Coded coded{block_scale(storage, range), {}};
  for (float v : values) coded.codes.push_back(uint8_t(encode(storage, v, coded.scale)));
  return coded;
}
std::vector<float> decode_block(Storage storage, const Coded& coded) {
  const BlockDecoder decoder = block_decoder(storage, coded.scale);
  std::vector<float> values;
  values.reserve(coded.codes.size());
  for (uint8_t code : coded.codes) values.push_back(decode(storage, code, decoder));
  return values;
}

// Positive values spread over `octaves` octaves around 2^center.
std::vector<float> spread(int n, double center, double octaves, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> values;
  values.reserve(size_t(n));
  for (int i = 0; i < n; ++i)
    values.push_back(float(std::exp2(center + octaves * (std::ldexp(double(random() >> 11), -53) - 0.5))));
  return values;
}

class Codecs : public testing::TestWithParam<Storage> {};
INSTANTIATE_TEST_SUITE_P(All, Codecs, testing::Values(Storage::al8, Storage::log_u8, Storage::linear_u8));

TEST_P(Codecs, AllZerosComeBackAsNothingOrTheFloor) {
  const Coded coded = encode_block(GetParam(), std::vector<float>(64, 0.0f));
  const float floor = GetParam() == Storage::log_u8 ? 0x1p-126f : GetParam() == Storage::linear_u8 ? 0x1p-100f : 0.0f;
  for (float v : decode_block(GetParam(), coded)) {
    EXPECT_LE(v, floor);
    EXPECT_EQ(v == 0.0f, GetParam() == Storage::al8);
  }
  if (GetParam() == Storage::al8) {
    EXPECT_EQ(coded.scale.lo, 0.0f);
    EXPECT_EQ(coded.scale.r, 1.0f);
  }
}

TEST_P(Codecs, AnyNonfiniteValueMakesTheBlockNan) {
  for (float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), -std::nanf(""), from_bits(0xffc00000u)}) {
    std::vector<float> values = spread(64, 0, 8, 3);
    values[17] = bad;
    const Coded coded = encode_block(GetParam(), values);
    EXPECT_EQ(to_bits(coded.scale.lo), kCanonicalNan);
    for (uint8_t code : coded.codes) EXPECT_EQ(code, 0);
    for (float v : decode_block(GetParam(), coded)) EXPECT_TRUE(std::isnan(v));
  }
}

TEST_P(Codecs, EncodingWhatWasDecodedGivesTheSameCodes) {
  for (double octaves : {0.5, 4.0, 40.0, 250.0}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const double center = GetParam() == Storage::linear_u8 ? 0.0 : octaves > 200 ? 0.0 : double(seed) * 6.0 - 60.0;
      const Coded once = encode_block(GetParam(), spread(512, center, octaves, seed));
      EXPECT_EQ(encode_block(GetParam(), decode_block(GetParam(), once)).codes, once.codes) << octaves << " " << seed;
    }
  }
}

TEST_P(Codecs, EveryCodeIsReachedAndDecodesInOrder) {
  // values placed at the decoded value of every code of a block that spans 25 octaves
  BlockRange range;
  include(range, 0x1p-20f);
  include(range, 0x1p5f);
  const BlockScale scale = block_scale(GetParam(), range);
  const BlockDecoder decoder = block_decoder(GetParam(), scale);
  const int first = GetParam() == Storage::log_u8 ? 0 : 1;
  float previous = -1.0f;
  for (int code = first; code <= 255; ++code) {
    const float v = decode(GetParam(), uint8_t(code), decoder);
    EXPECT_LT(previous, v);
    EXPECT_EQ(encode(GetParam(), v, scale), uint32_t(code));
    previous = v;
  }
}

TEST_P(Codecs, IsMonotone) {
  std::vector<float> values = spread(4096, -10, 60, 5);
  std::sort(values.begin(), values.end());
  const Coded coded = encode_block(GetParam(), values);
  EXPECT_TRUE(std::is_sorted(coded.codes.begin(), coded.codes.end()));
}

TEST(LogCodecs, DecodedValuesAreWithinHalfAStep) {
  for (Storage storage : {Storage::al8, Storage::log_u8}) {
    const std::vector<float> values = spread(2048, 3, 30, 9);
    const Coded coded = encode_block(storage, values);
    const std::vector<float> back = decode_block(storage, coded);
    const double intervals = storage == Storage::al8 ? 254 : 255;
    // roundings of l, of the quotient and of the exponent, in octaves: all below 2^-15 here
    const double half = coded.scale.r / intervals / 2 + 0x1p-15;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_LE(std::fabs(std::log2(double(back[i])) - std::log2(double(values[i]))), half);
    }
  }
}

TEST(LogCodecs, DecodedValuesAreThePowersTheyStandFor) {
  // 2^((code - 1) r/254 + lo) to a few ulp, also with lo far from 0
  for (const BlockScale s :
       {BlockScale{-120.3f, 30.7f}, BlockScale{99.9f, 20.1f}, BlockScale{-0.3f, 0.01f}, BlockScale{-126.0f, 252.0f}}) {
    const BlockDecoder decoder = block_decoder(Storage::al8, s);
    for (int code = 1; code <= 255; ++code) {
      const double exponent = double(s.r) / 254 * (code - 1);
      const double truth = std::exp2(exponent + double(s.lo));
      const double allowed = truth * (kExp2Ulps * 0x1p-23 + std::log(2.0) * (2 * exponent + 1) * 0x1p-24) + 0x1p-150;
      ASSERT_LE(std::fabs(double(decode(Storage::al8, uint8_t(code), decoder)) - truth), allowed) << code;
    }
  }
}

TEST(Al8, OnlyZeroHasCodeZero) {
  const Coded coded = encode_block(Storage::al8, {0.0f, 0x1p-149f, 1.0f, 0.0f, 0x1p-126f});
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{0, 1, 255, 0, 1}));
  EXPECT_EQ(coded.scale.lo, -126.0f);
  EXPECT_EQ(coded.scale.r, 126.0f);
}

TEST(Al8, EqualValuesGetOneOctave) {
  const Coded coded = encode_block(Storage::al8, {8.0f, 8.0f, 0.0f});
  EXPECT_EQ(coded.scale.lo, 2.0f);
  EXPECT_EQ(coded.scale.r, 1.0f);
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{255, 255, 0}));
  EXPECT_EQ(decode_block(Storage::al8, coded), (std::vector<float>{8.0f, 8.0f, 0.0f}));
}

TEST(Al8, ValuesBeyondTheRangeCountAsItsEnds) {
  const Coded coded = encode_block(Storage::al8, {0x1p127f, 0x1p-140f});
  EXPECT_EQ(coded.scale.lo, -126.0f);
  EXPECT_EQ(coded.scale.r, 252.0f);
  EXPECT_EQ(decode_block(Storage::al8, coded), (std::vector<float>{0x1p126f, 0x1p-126f}));
}

TEST(LogCodecs, TiesGoToTheEvenCode) {
  // four octaves on 254 intervals: one and three of them are 63.5 and 190.5
  EXPECT_EQ(encode_block(Storage::al8, {1.0f, 2.0f, 8.0f, 16.0f}).codes, (std::vector<uint8_t>{1, 64, 192, 255}));
  // 126 of 252 octaves on 255 intervals: 127.5
  EXPECT_EQ(encode_block(Storage::log_u8, {1.0f, 0x1p126f}).codes, (std::vector<uint8_t>{128, 255}));
}

TEST(LogU8, HasAFixedFloorAndNoZeroCode) {
  const Coded coded = encode_block(Storage::log_u8, {0.0f, 0x1p-126f, 2.0f});
  EXPECT_EQ(coded.scale.lo, -126.0f);
  EXPECT_EQ(coded.scale.r, 127.0f);
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{0, 0, 255}));
}

TEST(LinearU8, CodesAreRoundedQuotientsOfTheLargest) {
  const Coded coded = encode_block(Storage::linear_u8, {255.0f, 0.0f, 1.0f, 0.5f, 1.5f, 2.5f, 0.4999f});
  EXPECT_EQ(coded.scale.lo, 255.0f);
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{255, 0, 1, 0, 2, 2, 0}));
}

TEST(LinearU8, TheScaleHasAFloor) {
  const Coded coded = encode_block(Storage::linear_u8, {0x1p-102f, 0.0f});
  EXPECT_EQ(coded.scale.lo, 0x1p-100f);
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{64, 0}));
}

TEST(LinearU8, NothingIsReadAsZero) {
  const Coded coded = encode_block(Storage::linear_u8, {510.0f, 0.0f, 1.0f, 0x1p-80f, 1.01f});
  EXPECT_EQ(coded.codes, (std::vector<uint8_t>{255, 0, 0, 0, 1}));
  EXPECT_EQ(decode_block(Storage::linear_u8, coded), (std::vector<float>{510.0f, 1.0f, 1.0f, 1.0f, 2.0f}));
}

TEST(BlockRange, DoesNotDependOnTheOrderOrThePartition) {
  const std::vector<float> values = spread(64, 0, 20, 1);
  BlockRange all, left, right;
  for (size_t i = 0; i < values.size(); ++i) {
    include(all, values[i]);
    include(i % 3 == 0 ? left : right, values[values.size() - 1 - i]);
  }
  EXPECT_EQ(merge(left, right).low, all.low);
  EXPECT_EQ(merge(left, right).high, all.high);
  EXPECT_EQ(from_bits(all.high), *std::max_element(values.begin(), values.end()));
  EXPECT_EQ(from_bits(all.low + 1), *std::min_element(values.begin(), values.end()));
}

}  // namespace
}  // namespace plumbline::core
