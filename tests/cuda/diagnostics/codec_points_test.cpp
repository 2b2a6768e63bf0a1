#include "cuda/diagnostics/codec_points.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace plumbline::diagnostics {
namespace {

TEST(CodecScan, FindsNothingInTheLibrarysCodecsAndOneWrongCodeOfEveryKind) {
  for (const CodecRow& row : codec_table()) {
    std::vector<uint64_t> points = run_codec(row, Backend::host, 0);
    const CodecFaults faults = judge_codec(row, points);
    EXPECT_EQ(faults.total(), 0u) << to_string(row) << ": " << faults.not_monotone << " not monotone, "
                                  << faults.not_idempotent << " not idempotent, " << faults.misplaced << " misplaced, "
                                  << faults.wrong_zero << " wrong zeros";
    EXPECT_GE(faults.told_apart, faults.points * 2 / 5) << to_string(row) << ": next to nothing was judged";

    // three faults in the middle of the widest range
    const std::vector<core::BlockScale> scales = codec_scales(row);
    const auto widest = std::max_element(scales.begin(), scales.end(), [](auto a, auto b) { return a.r < b.r; });
    const auto middle = size_t(widest - scales.begin()) * size_t(row.codes) + size_t(row.codes) / 2;
    points[middle] ^= uint64_t(1) << 32;
    points[middle - 1] ^= uint64_t(16) << 48;
    points[middle + 1] ^= 0x80000000u;  // its value's sign
    const CodecFaults wrong = judge_codec(row, points);
    EXPECT_GE(wrong.not_idempotent, 1u) << to_string(row);
    if (row.pairs) continue;
    EXPECT_GE(wrong.misplaced, 1u) << to_string(row);
    if (row.rounding != Rounding::dither) {
      EXPECT_GE(wrong.not_monotone, 1u) << to_string(row);
    }
  }
}

TEST(CodecScan, UnderTheEmulatorIsTheHosts) {
  for (const CodecRow& row : codec_table()) {
    if (row.codes > 256 || row.storage == Storage::al8) continue;  // al16 and al8 have millions of points
    EXPECT_EQ(run_codec(row, Backend::emulator, 1), run_codec(row, Backend::host, 0)) << to_string(row);
  }
}

}  // namespace
}  // namespace plumbline::diagnostics
