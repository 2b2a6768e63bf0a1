#include "cuda/core/philox.h"

#include <gtest/gtest.h>

#include "cuda/core/rounding.h"

namespace plumbline::core {
namespace {

void expect_words(PhiloxWords got, PhiloxWords expected) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(word_of(got, i), word_of(expected, i));
}

// Published vectors of Philox4x32-10: zeros, ones, and the digits of pi.
TEST(Philox, GivesTheKnownAnswers) {
  expect_words(philox({0, 0, 0, 0}, {0, 0}), {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  expect_words(philox({0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu}),
               {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  expect_words(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
               {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST(Draws, AreExactAndSymmetric) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    ASSERT_EQ(double(uniform_of(bits)), (double(bits) + 0.5) * 0x1p-16);
    ASSERT_EQ(double(dither_of(bits)), (double(bits) + 0.5) * 0x1p-16 - 0.5);
  }
}

}  // namespace
}  // namespace plumbline::core
