#include "cuda/core/uniform.h"

#include <gtest/gtest.h>

#include <cmath>

namespace plumbline::core {
namespace {

TEST(UniformCodes, QuotientsAreCorrectlyRoundedForEveryCodeAndOffset) {
  for (const Storage storage : {Storage::uf8, Storage::uf4}) {
    for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic, Rounding::dither}) {
      const UniformBlock b = uniform_block(storage, rounding, 1.0f, 0.0f);
      const uint32_t offsets = rounding == Rounding::dither ? 0x10000u : 1u;
      for (uint32_t bits = 0; bits < offsets; ++bits) {
        const float delta = offsets == 1u ? 0.0f : dither_of(bits);
        const int limit = int(b.limit);
        for (int code = -limit; code <= limit; ++code) {
          const float x = float(code) - delta;
          ASSERT_EQ(divide_levels(x, b.H, b.inverse), x / b.H) << code << " " << delta;
        }
      }
    }
  }
}

TEST(UniformCodes, EncodingWhatWasDecodedGivesTheSameCodeAndScale) {
  for (const Storage storage : {Storage::uf8, Storage::uf4}) {
    for (int octave = -39; octave <= 126; ++octave) {
      const float scale = std::ldexp(1.37f, octave);
      const UniformBlock b = uniform_block(storage, Rounding::nearest, scale, 0.0f);
      EXPECT_EQ(decode_uniform(b.H, b), scale);  // the largest magnitude comes back as it was
      const int most = int(b.H);
      for (int code = -most; code <= most; ++code)
        ASSERT_EQ(encode_uniform(decode_uniform(float(code), b), b), float(code));
    }
  }
}

TEST(UniformCodes, StochasticRoundingIsUnbiasedOverItsDraws) {
  const UniformBlock b = uniform_block(Storage::uf4, Rounding::stochastic, 3.0f, 0.0f);
  for (const float x : {-2.9f, -0.26f, 0.0f, 0.1f, 1.7f, 2.999f}) {
    double mean = 0;
    for (uint32_t bits = 0; bits < 0x10000u; ++bits)
      mean += decode_uniform(encode_uniform_stochastic(x, b, uniform_of(bits)), b) * 0x1p-16;
    EXPECT_NEAR(mean, x, 0x1p-16 * 0.5 + 1e-6);  // half a draw of one step of 3/6, and roundings
  }
}

TEST(Nibbles, EveryPairComesBack) {
  for (int first = -8; first <= 7; ++first) {
    for (int second = -8; second <= 7; ++second) {
      const uint8_t byte = pack_nibbles(first, second);
      EXPECT_EQ(high_nibble(byte), first);
      EXPECT_EQ(low_nibble(byte), second);
    }
  }
}

}  // namespace
}  // namespace plumbline::core
