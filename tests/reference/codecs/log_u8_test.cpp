#include "reference/codecs/log_u8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace plumbline::reference {
namespace {

LogU8::Scale scale_of(std::vector<double> values) { return LogU8::scale_of(std::span<const double>(values)); }

TEST(LogU8Test, FloorIsFixedAndTheTopIsTheLargest) {
  EXPECT_EQ(scale_of({4, 0.5, 0}), (LogScale{-126, 128}));
  EXPECT_EQ(scale_of({0, 0}), (LogScale{-126, 1}));
  EXPECT_EQ(scale_of({0x1p-126, 0x1p-149}), (LogScale{-126, 1}));  // hi <= lo
}

TEST(LogU8Test, ZeroHasNoCodeOfItsOwn) {
  const LogScale scale{-126, 255};
  EXPECT_EQ(LogU8::encode(0, scale), 0);
  EXPECT_EQ(LogU8::encode(0x1p-149, scale), 0);
  EXPECT_EQ(LogU8::decode(0, scale), 0x1p-126);
}

TEST(LogU8Test, TiesRoundToEven) {
  const LogScale scale{-126, 255};
  EXPECT_EQ(LogU8::encode(0x1p-124 * std::sqrt(2.0), scale), 2);
  EXPECT_EQ(LogU8::encode(0x1p-123 * std::sqrt(2.0), scale), 4);
}

TEST(LogU8Test, EveryCodeSurvivesDecodeAndEncode) {
  for (const LogScale scale : {LogScale{-126, 1}, LogScale{-126, 252}, LogScale{-126, 59.4f}})
    for (int code = 0; code < 256; ++code)
      EXPECT_EQ(LogU8::encode(LogU8::decode(static_cast<uint8_t>(code), scale), scale), code);
}

TEST(LogU8Test, ErrorStaysWithinHalfAStepDownToZero) {
  const LogScale scale{-126, 120};
  for (const double v : {0.0, 0x1p-149, 0x1p-126, 0x1.7p-126, 3e-20, 0.01, 0x1p-6})
    EXPECT_LE(std::abs(LogU8::decode(LogU8::encode(v, scale), scale) - v), LogU8::half_step(v, scale) * (1 + 1e-12))
        << v;
}

TEST(LogU8Test, BlockWithANonFiniteValueDecodesToNaN) {
  const LogScale scale = scale_of({1, std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(std::isnan(LogU8::decode(7, scale)));
  EXPECT_TRUE(std::isnan(LogU8::unrounded_code(1, scale)));
}

}  // namespace
}  // namespace plumbline::reference
