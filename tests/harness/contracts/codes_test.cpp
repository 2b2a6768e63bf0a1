#include "harness/contracts/codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>

#include "reference/codecs/al8.h"
#include "reference/codecs/linear_u8.h"
#include "reference/codecs/log_u8.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;
using testing::HasSubstr;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Arithmetic arithmetic() {
  Arithmetic a;
  a.log2_absolute_ulps = 1;
  a.exp2_ulps = 1;
  a.log_decode = 2;
  a.linear_decode = 2;
  return a;
}

template <class Codec, class Scale>
void encode_block(std::span<const double> values, Scale scale, std::byte* out) {
  for (size_t i = 0; i < values.size(); ++i) out[i] = std::byte(Codec::encode(values[i], scale));
}

// The slot that the reference's codec would store; blocks never cross a matrix.
SlotState encode(Storage storage, const std::vector<double>& values, int64_t matrix, int block) {
  SlotState slot;
  slot.storage = storage;
  slot.count = int64_t(values.size());
  slot.matrix = matrix;
  slot.block = block;
  slot.values.resize(values.size());
  for (int64_t m = 0; m < slot.count; m += matrix)
    for (int64_t at = m; at < m + matrix; at += block) {
      const std::span<const double> in(values.data() + at, size_t(std::min<int64_t>(block, m + matrix - at)));
      std::byte* out = slot.values.data() + at;
      if (storage == Storage::linear_u8) {
        const auto scale = reference::LinearU8::scale_of(in).stored();
        encode_block<reference::LinearU8>(in, scale, out);
        slot.scales.push_back(float(scale.scale));
        continue;
      }
      const bool al8 = storage == Storage::al8;
      const auto scale = (al8 ? reference::Al8::scale_of(in) : reference::LogU8::scale_of(in)).stored();
      if (al8)
        encode_block<reference::Al8>(in, scale, out);
      else
        encode_block<reference::LogU8>(in, scale, out);
      slot.scales.push_back(float(scale.lo));
      slot.scales.push_back(float(scale.r));
    }
  return slot;
}

struct Judged {
  QuantityJudge scale{Quantity::row_scale}, code{Quantity::row_code}, stored{Quantity::row_stored};
  CodeUse use;
};
// `error`: relative, of the subject's value before coding.
Judged judge(const SlotState& slot, const std::vector<double>& exact, double error = 0) {
  const auto n = Eigen::Index(exact.size());
  const Tensor values({n}, Eigen::Map<const Eigen::ArrayXd>(exact.data(), n));
  const Tensor bound({n}, values.data * error);
  DecodedSlot decoded;
  decode_slot(slot, arithmetic(), {n}, decoded);
  Judged out;
  judge_slot(1, slot, arithmetic(), values, bound, decoded.values, {out.scale, out.code, out.stored}, out.use);
  return out;
}

std::vector<double> draw_values(uint64_t seed, size_t n, int octaves) {
  std::mt19937_64 random(seed);
  std::vector<double> v(n);
  for (double& x : v) {
    const double mantissa = 1 + double(random() >> 41) * 0x1p-23;  // of float32
    x = std::ldexp(mantissa, -20 - int(random() % uint64_t(octaves)));
  }
  return v;
}

class Codes : public testing::TestWithParam<Storage> {
 protected:
  Storage storage = GetParam();
  int octaves = storage == Storage::linear_u8 ? 4 : 40;
  // Two matrices of 150 values: blocks of 64, 64 and a tail of 22.
  std::vector<double> values = draw_values(7, 300, octaves);
  SlotState slot = encode(storage, values, 150, 64);
  size_t words = storage == Storage::linear_u8 ? 1 : 2;
};
INSTANTIATE_TEST_SUITE_P(Storages, Codes, testing::Values(Storage::al8, Storage::log_u8, Storage::linear_u8),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(Codes, OfTheReferenceAreAccepted) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<double> drawn = draw_values(seed, 300, octaves);
    if (seed % 3 == 0) drawn[seed % 300] = drawn[299 - seed] = 0;
    const Judged j = judge(encode(storage, drawn, 150, 64), drawn);
    EXPECT_FALSE(j.scale.broken()) << seed << ": " << j.scale.result().worst.ratio;
    EXPECT_FALSE(j.code.broken()) << seed << ": " << j.code.result().worst.ratio;
    EXPECT_FALSE(j.stored.broken()) << seed << ": " << j.stored.result().worst.ratio;
    EXPECT_EQ(j.scale.result().ratios.total(), 6 * words);
    EXPECT_EQ(j.code.result().ratios.total(), 300u);
    EXPECT_GT(j.use.codes.count(), 20u);
  }
}

TEST_P(Codes, OffByOneAreFoundWhereverTheyAre) {
  for (size_t i = 0; i < values.size(); ++i)
    for (const int by : {-1, 1}) {
      SlotState wrong = slot;
      const int code = int(wrong.values[i]) + by;
      if (code < 0 || code > 255) continue;
      wrong.values[i] = std::byte(code);
      const Judged j = judge(wrong, values);
      ASSERT_TRUE(j.code.broken()) << i << " " << by;
      ASSERT_EQ(j.code.result().worst.index, int64_t(i));
      ASSERT_FALSE(j.scale.broken());
    }
}

TEST_P(Codes, UnderANeighboursScaleAreFound) {
  SlotState wrong = slot;
  for (size_t w = 0; w < words; ++w) std::swap(wrong.scales[w], wrong.scales[words + w]);
  EXPECT_TRUE(judge(wrong, values).scale.broken());
}

TEST_P(Codes, OfANeighbourBlockAreFound) {
  SlotState wrong = slot;
  std::swap_ranges(wrong.values.begin(), wrong.values.begin() + 64, wrong.values.begin() + 64);
  const Judged j = judge(wrong, values);
  EXPECT_FALSE(j.scale.broken());
  EXPECT_TRUE(j.code.broken());
  EXPECT_TRUE(j.stored.broken());
}

TEST_P(Codes, ATailOrAMatrixCutElsewhereIsFound) {
  SlotState wrong = encode(storage, values, 300, 64);  // blocks across the two matrices
  EXPECT_EQ(wrong.scales.size(), 5 * words);
  wrong.scales.insert(wrong.scales.end(), wrong.scales.end() - std::ptrdiff_t(words), wrong.scales.end());
  wrong.matrix = 150;
  EXPECT_TRUE(judge(wrong, values).scale.broken());
}

TEST_P(Codes, AScaleOffByAFewUlpIsFound) {
  for (size_t w = 0; w < slot.scales.size(); ++w) {
    const bool fixed_floor = storage == Storage::log_u8 && w % 2 == 0;
    for (const float way : {-1000.0f, 1000.0f}) {
      SlotState wrong = slot;
      for (int ulps = 0; ulps < 8; ++ulps) wrong.scales[w] = std::nextafter(wrong.scales[w], way);
      // r inherits what lo may be off, in ulps of lo
      const float lo = words == 2 ? wrong.scales[w / 2 * 2] : 0;
      if (words == 2 && w % 2 == 1)
        wrong.scales[w] += std::copysign(8 * (std::nextafter(std::fabs(lo), 1000.0f) - std::fabs(lo)), way);
      EXPECT_TRUE(judge(wrong, values).scale.broken()) << w << (fixed_floor ? " (fixed)" : "");
    }
  }
}

TEST_P(Codes, AScaleThatIsNotANumberOrNotPositiveIsFound) {
  for (const float bad : {std::nanf(""), -1.0f, 0.0f, float(kInfinity), float(-kInfinity)}) {
    SlotState wrong = slot;
    wrong.scales[words - 1] = bad;  // r, or the scale
    EXPECT_TRUE(judge(wrong, values).scale.broken()) << bad;
    wrong = slot;
    wrong.scales[0] = bad;
    EXPECT_TRUE(judge(wrong, values).scale.broken()) << bad;
  }
}

TEST_P(Codes, ABlockWithWhatIsNotANumberMustDecodeToNan) {
  for (const double odd : {kNan, kInfinity}) {
    std::vector<double> with = values;
    with[70] = odd;  // the second block of the first matrix
    const SlotState sound = encode(storage, with, 150, 64);
    EXPECT_TRUE(std::isnan(sound.scales[words]));
    const Judged j = judge(sound, with);
    EXPECT_FALSE(j.scale.broken());
    EXPECT_FALSE(j.code.broken());
    EXPECT_EQ(j.code.result().ratios.total(), 300u - 64);
    EXPECT_TRUE(judge(slot, with).scale.broken()) << "finite scales for a block with " << odd;
    EXPECT_TRUE(judge(sound, values).scale.broken()) << "a NaN scale for a finite block";
  }
}

TEST_P(Codes, ABlockOfZerosHasOneRightAnswer) {
  std::vector<double> zeros = values;
  std::fill_n(zeros.begin(), 64, 0.0);
  const SlotState sound = encode(storage, zeros, 150, 64);
  EXPECT_FALSE(judge(sound, zeros).scale.broken());
  EXPECT_FALSE(judge(sound, zeros).code.broken());
  EXPECT_FALSE(judge(sound, zeros).stored.broken());
  SlotState coded = sound;
  coded.values[9] = std::byte{1};
  EXPECT_TRUE(judge(coded, zeros).code.broken());
  SlotState scaled = sound;
  scaled.scales[words - 1] *= 1.5f;
  EXPECT_TRUE(judge(scaled, zeros).scale.broken());
}

TEST_P(Codes, WithAnErrorBeforeCodingANeighbourIsAcceptedOnlyAsFarAsItReaches) {
  // 1e-3 is 0.0014 octaves; a step is 0.16 (al8), 0.4 (log_u8) of them; linear steps are 1/255 of the largest
  int neighbours = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const int code = int(slot.values[i]);
    if (code > 252) continue;
    SlotState wrong = slot;
    wrong.values[i] = std::byte(code + 1);
    EXPECT_TRUE(judge(wrong, values).code.broken()) << i;
    neighbours += !judge(wrong, values, 1e-3).code.broken();
    wrong.values[i] = std::byte(code + 3);
    EXPECT_TRUE(judge(wrong, values, 1e-3).code.broken()) << i;
  }
  EXPECT_LT(neighbours, 100);
}

TEST(CodesOfAl8, ZeroIsForZerosAlone) {
  std::vector<double> values = draw_values(3, 64, 20);
  values[5] = 0;
  const SlotState sound = encode(Storage::al8, values, 64, 64);
  EXPECT_EQ(sound.values[5], std::byte{0});
  EXPECT_FALSE(judge(sound, values).code.broken());
  for (const auto& [at, code] : {std::pair(5, 1), std::pair(6, 0)}) {
    SlotState wrong = sound;
    wrong.values[size_t(at)] = std::byte(code);
    EXPECT_TRUE(judge(wrong, values, 1e-6).code.broken()) << at;
  }
}

TEST(CodesOfAl8, WhereAllValuesAreWithinTheErrorOneOrTwoMayBeSeen) {
  const double v = 0x1.8p-9, e = 1e-6;
  const std::vector<double> values = {v, v * (1 + 0.5 * e)};
  const SlotState two = encode(Storage::al8, values, 2, 64), one = encode(Storage::al8, {v, v}, 2, 64);
  EXPECT_NE(two.scales, one.scales);
  for (const SlotState* slot : {&two, &one}) {
    EXPECT_FALSE(judge(*slot, values, e).scale.broken());
    EXPECT_FALSE(judge(*slot, values, e).stored.broken());
  }
  EXPECT_TRUE(judge(one, {v, v * 1.01}, e).scale.broken());
}

// Codes under it could be anything: (l - lo)/r is none.
TEST(CodesOfAl8, ABlockOfOneValueHasARangeOfOneOctave) {
  const std::vector<double> values(8, 0x1p-9);
  SlotState slot = encode(Storage::al8, values, 8, 64);
  EXPECT_FALSE(judge(slot, values, 1e-6).scale.broken());
  slot.scales = {-9, 0};
  for (std::byte& code : slot.values) code = std::byte{0};
  for (const double error : {0.0, 1e-6}) {
    EXPECT_TRUE(judge(slot, values, error).scale.broken()) << error;
    EXPECT_EQ(judge(slot, values, error).scale.result().worst.index, 1) << error;
  }
}

TEST(CodesOfLinearU8, NoErrorAdmitsAScaleBelowTheFloor) {
  const std::vector<double> values(8, 1e-10);
  SlotState slot = encode(Storage::linear_u8, values, 8, 64);
  EXPECT_FALSE(judge(slot, values, 4).scale.broken());
  for (const float scale : {0.0f, -1e-12f, 0x1p-101f}) {
    slot.scales[0] = scale;
    EXPECT_TRUE(judge(slot, values, 4).scale.broken()) << scale;
  }
}

// Code and neighbours of a value whose unrounded code is exactly between `low` and low + 1.
void expect_tie(const SlotState& slot, const std::vector<double>& values, size_t at, int low) {
  for (int code = low - 2; code <= low + 3; ++code) {
    SlotState s = slot;
    s.values[at] = std::byte(code);
    const bool fine = code == low || code == low + 1;
    EXPECT_EQ(judge(s, values).code.broken(), !fine) << code;
    EXPECT_EQ(judge(s, values).stored.broken(), !fine) << code;
  }
}

TEST(Ties, AreAcceptedEitherWay) {
  // al8 over [2^-126, 2^126]: l = -63 has the code 63/252 254 + 1 = 64.5
  const std::vector<double> al8 = {0x1p-126, 0x1p-63, 0x1p126};
  expect_tie(encode(Storage::al8, al8, 3, 64), al8, 1, 64);
  // log_u8 with hi = 44: l = -109 has the code 17/170 255 = 25.5
  const std::vector<double> log_u8 = {0x1p44, 0x1p-109};
  expect_tie(encode(Storage::log_u8, log_u8, 2, 64), log_u8, 1, 25);
  const std::vector<double> linear = {255, 10.5, 3};
  expect_tie(encode(Storage::linear_u8, linear, 3, 64), linear, 1, 10);
}

TEST(DecodeSlot, ReadsFloat32AsItIs) {
  const std::vector<float> stored = {1.5f, 0.0f, 1e-40f};
  SlotState slot;
  slot.count = slot.matrix = 3;
  slot.values.resize(12);
  std::memcpy(slot.values.data(), stored.data(), 12);
  DecodedSlot out;
  decode_slot(slot, arithmetic(), {3}, out);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(out.values.data[i], double(stored[size_t(i)]));
  EXPECT_EQ(out.relative_error.size(), 0);
}

TEST_P(Codes, AreDecodedAsTheReferenceDecodesThem) {
  for (const int block : {64, 128, 512}) {  // 512: long blocks go through a table
    const std::vector<double> many = draw_values(9, 1200, octaves);
    const SlotState s = encode(storage, many, 600, block);
    DecodedSlot out;
    decode_slot(s, arithmetic(), {2, 600}, out);
    EXPECT_EQ(out.values.shape, (std::vector<int64_t>{2, 600}));
    const int64_t blocks = (600 + block - 1) / block;
    for (int64_t i = 0; i < 1200; ++i) {
      const auto b = size_t(i / 600 * blocks + i % 600 / block);
      const auto code = uint8_t(s.values[size_t(i)]);
      const double expected = storage == Storage::linear_u8 ? reference::LinearU8::decode(code, {s.scales[b]})
                              : storage == Storage::al8
                                  ? reference::Al8::decode(code, {s.scales[2 * b], s.scales[2 * b + 1]})
                                  : reference::LogU8::decode(code, {s.scales[2 * b], s.scales[2 * b + 1]});
      ASSERT_EQ(out.values.data[i], expected) << i;
      ASSERT_GT(out.relative_error.data[i], 0);
      ASSERT_LT(out.relative_error.data[i], 1e-4);
    }
  }
}

TEST_P(Codes, OfAnotherSizeThanTheShapeAreRefused) {
  auto refuses = [&](auto change, const char* says) {
    SlotState wrong = slot;
    change(wrong);
    DecodedSlot out;
    try {
      decode_slot(wrong, arithmetic(), {300}, out);
      ADD_FAILURE() << "accepted: " << says;
    } catch (const std::runtime_error& e) {
      EXPECT_THAT(e.what(), HasSubstr(says));
    }
  };
  refuses([](SlotState& s) { s.count = 299; }, "expected 300");
  refuses([](SlotState& s) { s.values.pop_back(); }, "299 bytes");
  refuses([](SlotState& s) { s.values.push_back({}); }, "301 bytes");
  refuses([](SlotState& s) { s.scales.pop_back(); }, "words of scale");
  refuses([](SlotState& s) { s.scales.push_back(0); }, "words of scale");
  refuses([](SlotState& s) { s.scales.clear(); }, "words of scale");
  refuses([](SlotState& s) { s.matrix = 0; }, "impossible blocks");
  refuses([](SlotState& s) { s.matrix = 7; }, "impossible blocks");
  refuses([](SlotState& s) { s.block = 0; }, "impossible blocks");
  refuses([](SlotState& s) { s.block = -64; }, "impossible blocks");
  refuses([](SlotState& s) { s.storage = Storage::fp32; }, "expected 300 in 1200");
}

}  // namespace
}  // namespace plumbline::harness
