#include "cuda/diagnostics/scan.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "cuda/core/certificates.h"
#include "cuda/diagnostics/judge.h"
#include "cuda/diagnostics/scan_step.h"

namespace plumbline::diagnostics {
namespace {

constexpr int kEvery256th = 8;
int cores() { return int(std::max(1u, std::thread::hardware_concurrency())); }

std::vector<ScanSubject> subjects() {
  std::vector<ScanSubject> out;
  for (const FunctionRow& row : function_table())
    for (const float divisor : kDivisors) {
      if (row.chip_only) continue;
      out.push_back({row.function, row.function == Function::divide ? divisor : 1.0f});
      if (row.function != Function::divide) break;
    }
  return out;
}

// 2^24 inputs of each function: what every machine can afford.
TEST(Scan, OfASampleFindsEveryFunctionAsCertified) {
  for (const ScanSubject& subject : subjects()) {
    const Scan scan = scan_on_host(subject, kEvery256th, cores());
    EXPECT_TRUE(holds(subject, scan)) << to_string(subject) << ": " << scan.largest << " ulp at " << std::hex
                                      << scan.worst_input << ", " << scan.not_nearest << " not nearest";
    EXPECT_EQ(scan.inputs, uint64_t(1) << 24);
    EXPECT_EQ(std::accumulate(scan.histogram.begin(), scan.histogram.end(), scan.outside), scan.inputs);
    EXPECT_LT(scan.outside, scan.inputs) << to_string(subject) << ": nothing was judged";
    // near the certificate, or there is none to be near to
    if (row_of(subject.function).promise == Promise::certified && subject.function != Function::exp2_subnormal) {
      EXPECT_GE(scan.largest, 0.95 * row_of(subject.function).bound) << to_string(subject);
    }
  }
}

TEST(Scan, FailsWhereMoreIsFoundThanTheCertificateStates) {
  Scan scan = scan_on_host({Function::log2}, 16, 1);
  ASSERT_TRUE(holds({Function::log2}, scan));
  scan.largest = float(core::kLog2Ulps) + 1e-4f;
  EXPECT_FALSE(holds({Function::log2}, scan));
  scan.largest = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(holds({Function::log2}, scan));
  Scan root = scan_on_host({Function::sqrt}, 16, 1);
  root.not_nearest = 1;
  EXPECT_FALSE(holds({Function::sqrt}, root));
}

TEST(Scan, OfEverythingFailsWhereOneResultIsNotTheHosts) {
  Scan scan;
  scan.inputs = uint64_t(1) << 32;
  scan.checksum = core::kLog2Checksum;
  EXPECT_TRUE(holds({Function::log2}, scan));
  ++scan.checksum;
  EXPECT_FALSE(holds({Function::log2}, scan));
}

TEST(Scan, SampleMeetsEveryExponentOfEitherSign) {
  std::array<int, 512> met{};
  for (uint32_t i = 0; i < 1u << 12; ++i) ++met[scan_input(i, 20) >> 23];
  for (const int n : met) EXPECT_EQ(n, 8);
}

TEST(Scan, UnderTheEmulatorIsTheHostsBitForBit) {
  for (const ScanSubject& subject : subjects())
    for (const uint64_t schedule : {1, 2})
      EXPECT_EQ(scan_on_emulator(subject, 20, schedule), scan_on_host(subject, 20, 2)) << to_string(subject);
}

// The judge before the accused: every result one unit off is found, and every special value.
template <Function F>
void expect_neighbours_refused(float x, float divisor, uint32_t wrap) {
  const uint32_t right = evaluate<F>(x, divisor);
  ASSERT_TRUE((judge<F>(x, divisor, right).nearest)) << x;
  EXPECT_FALSE((judge<F>(x, divisor, (right + 1) & wrap).nearest)) << x;
  EXPECT_FALSE((judge<F>(x, divisor, (right - 1) & wrap).nearest)) << x;
}

TEST(Judge, RefusesWhatIsOneUnitOff) {
  for (const uint32_t bits :
       {0x3f800001u, 0x00000003u, 0x007fffffu, 0x40490fdbu, 0x7f7fffffu, 0x00800000u, 0x3effffffu}) {
    const float x = core::from_bits(bits);
    expect_neighbours_refused<Function::sqrt>(x, 1, ~0u);
    expect_neighbours_refused<Function::divide>(x, 7, ~0u);
    expect_neighbours_refused<Function::divide>(-x, 0x1.fffffep+0f, ~0u);
    expect_neighbours_refused<Function::to_bfloat16>(x, 1, 0xffffu);
    expect_neighbours_refused<Function::to_float16>(x, 1, 0xffffu);
    expect_neighbours_refused<Function::to_e4m3>(x, 1, 0xffu);
    expect_neighbours_refused<Function::to_e5m2>(x, 1, 0xffu);
    if (bits > 0x00200000u) expect_neighbours_refused<Function::reciprocal>(x, 1, ~0u);
  }
}

TEST(Judge, WantsTheRightSpecialValue) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(judge_quotient(0.0f, -3.0f, -0.0f).nearest);
  EXPECT_FALSE(judge_quotient(0.0f, -3.0f, 0.0f).nearest);
  EXPECT_TRUE(judge_quotient(1.0f, 0.0f, inf).nearest);
  EXPECT_FALSE(judge_quotient(1.0f, -0.0f, inf).nearest);
  EXPECT_TRUE(judge_quotient(inf, inf, nan).nearest);
  EXPECT_FALSE(judge_quotient(1.0f, 3.0f, nan).nearest);
  EXPECT_FALSE(judge_quotient(nan, 3.0f, 1.0f).nearest);
  EXPECT_TRUE(judge_quotient(0x1.fffffep127f, 0.5f, inf).nearest);
  EXPECT_FALSE(judge_quotient(0x1p-149f, 3.0f, 0x1p-149f).nearest);
  EXPECT_TRUE(judge_root(-0.0f, -0.0f).nearest);
  EXPECT_TRUE(judge_root(-1.0f, nan).nearest);
  EXPECT_FALSE(judge_root(4.0f, nan).nearest);
  EXPECT_FALSE(judge_root(4.0f, -2.0f).nearest);
  EXPECT_FALSE((judge<Function::to_float16>(65520.0f, 1, 0x7bffu).nearest)) << "rounds to infinity";
  EXPECT_TRUE((judge<Function::to_float16>(65520.0f, 1, 0x7c00u).nearest));
  EXPECT_TRUE((judge<Function::to_e4m3>(1e9f, 1, 0x7eu).nearest)) << "saturates";
  EXPECT_FALSE((judge<Function::to_e4m3>(nan, 1, 0x7eu).nearest));
  EXPECT_FALSE((judge<Function::log2>(1.0f, 1, 0x80000000u).nearest));
}

TEST(Judge, PlacesTies) {
  // 2.5 units: even is 2
  EXPECT_TRUE(judge_quotient(core::from_bits(5), 2.0f, core::from_bits(2)).nearest);
  EXPECT_FALSE(judge_quotient(core::from_bits(5), 2.0f, core::from_bits(3)).nearest);
  EXPECT_EQ(judge_quotient(core::from_bits(5), 2.0f, core::from_bits(2)).ulps, 0.5);
  EXPECT_FALSE((judge<Function::to_bfloat16>(core::from_bits(0x3f808000u), 1, 0x3f81u).nearest));
}

}  // namespace
}  // namespace plumbline::diagnostics
