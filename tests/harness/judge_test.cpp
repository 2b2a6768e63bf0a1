#include "harness/judge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargest = std::numeric_limits<float>::max();

TEST(ErrorRatio, IsTheErrorInUnitsOfTheBound) {
  EXPECT_EQ(error_ratio(1.5, 1, 0.5), 1);
  EXPECT_EQ(error_ratio(0.75, 1, 0.5), 0.5);
  EXPECT_EQ(error_ratio(-1, 1, 0.5), 4);
  EXPECT_EQ(error_ratio(1, 1, 0.5), 0);
}

TEST(ErrorRatio, NanNeverPassesForANumber) {
  for (const double bound : {0.0, 1.0, 1e300, kInfinity, kNan, -1.0})
    for (const double number : {0.0, -0.0, 1.0, -1e38, 1e300, kInfinity, -kInfinity}) {
      const bool beyond = std::fabs(number) > kLargest && (std::isfinite(number) || std::isnan(bound));
      EXPECT_EQ(error_ratio(kNan, number, bound), beyond ? 0 : kInfinity) << number << " +- " << bound;
      EXPECT_EQ(error_ratio(number, kNan, bound), kInfinity) << number << " +- " << bound;
    }
}

TEST(ErrorRatio, WhereTheReferenceIsNanOnlyNanWillDo) { EXPECT_EQ(error_ratio(kNan, kNan, 0), 0); }

TEST(ErrorRatio, AnInfinityWantsTheSameInfinity) {
  EXPECT_EQ(error_ratio(kInfinity, kInfinity, 0), 0);
  EXPECT_EQ(error_ratio(-kInfinity, -kInfinity, 0), 0);
  for (const double bound : {0.0, 1.0, 1e300, kInfinity}) {
    EXPECT_EQ(error_ratio(-kInfinity, kInfinity, bound), kInfinity);
    EXPECT_EQ(error_ratio(kLargest, kInfinity, bound), kInfinity);
  }
}

TEST(ErrorRatio, AnInfinityIsAdmissibleOnlyWhereTheBoundReachesOverflow) {
  EXPECT_EQ(error_ratio(kInfinity, kLargest, 0), 0);
  EXPECT_EQ(error_ratio(kInfinity, 0x1p127, 0x1p127), 0);
  EXPECT_EQ(error_ratio(-kInfinity, -0x1p127, 0x1p127), 0);
  EXPECT_EQ(error_ratio(kInfinity, 0x1p127, 0x1p126), kInfinity);
  EXPECT_EQ(error_ratio(kInfinity, -0x1p127, 0x1p127), kInfinity);  // the other sign
  EXPECT_EQ(error_ratio(-kInfinity, 0x1p127, 0x1p127), kInfinity);
  EXPECT_EQ(error_ratio(-kInfinity, 0x1p127, 0x1.8p128), 0);  // unless the bound reaches as far
  EXPECT_EQ(error_ratio(-kInfinity, kInfinity, kInfinity), kInfinity);
  EXPECT_EQ(error_ratio(kInfinity, 60000, 5504, largest_finite(DType::float16)), 0);
  EXPECT_EQ(error_ratio(kInfinity, 60000, 5503, largest_finite(DType::float16)), kInfinity);
  EXPECT_EQ(error_ratio(kInfinity, 1, kNan), kInfinity);
}

// Both beyond the type's range, and of a kind that the reference admits.
TEST(OutOfRange, IsJudgedByKind) {
  EXPECT_TRUE(out_of_range(kNan, kNan, 0));
  EXPECT_TRUE(out_of_range(kInfinity, kInfinity, 0));
  EXPECT_TRUE(out_of_range(kInfinity, 1e66, 1e50));
  EXPECT_TRUE(out_of_range(kNan, -3.79e66, 1e87));  // terms of both signs, each an infinity
  EXPECT_TRUE(out_of_range(kInfinity, -3.79e66, 1e87));
  EXPECT_TRUE(out_of_range(kNan, kInfinity, kNan));  // an infinity times what may have been zero
  EXPECT_TRUE(out_of_range(kInfinity, 65520, 0, rounding_interval(DType::float16, kInfinity).low));
  EXPECT_FALSE(out_of_range(kInfinity, -1e66, 1e50)) << "the other sign";
  EXPECT_FALSE(out_of_range(-kInfinity, kInfinity, kNan)) << "the other sign";
  EXPECT_FALSE(out_of_range(kNan, kInfinity, 1)) << "an infinity was certain";
  EXPECT_FALSE(out_of_range(kNan, 70000, 1, largest_finite(DType::float16))) << "a number in float32";
  EXPECT_FALSE(out_of_range(kNan, 1e38, 1e40)) << "the reference is in range";
  EXPECT_FALSE(out_of_range(3e38, 1e66, 1e60)) << "the subject is in range";
  EXPECT_EQ(error_ratio(3e38, 1e66, 1e60), 1e66 / 1e60);
}

TEST(OutOfRange, CountsApart) {
  for (const bool whole : {false, true}) {
    QuantityJudge judge(Quantity::parameter);
    const std::vector<float> got = {float(kInfinity), float(kNan), 1, -float(kInfinity)};
    const std::vector<double> expected = {1e66, kNan, 1.5, 1e66}, bound = {1e60, 1, 1, 1e60};
    if (whole)
      judge.array(1, got, expected, bound);
    else
      for (size_t i = 0; i < got.size(); ++i) judge.element(1, int64_t(i), got[i], expected[i], bound[i]);
    EXPECT_EQ(judge.result().out_of_range, 2u);
    EXPECT_EQ(judge.result().ratios.total(), 2u);
    EXPECT_EQ(judge.result().outside, 1u) << "an infinity of the other sign";
    EXPECT_EQ(judge.result().worst.index, 3);
  }
}

TEST(ErrorRatio, ABoundOfZeroAcceptsEqualityAlone) {
  EXPECT_EQ(error_ratio(3, 3, 0), 0);
  EXPECT_EQ(error_ratio(-0.0, 0.0, 0), 0);
  EXPECT_EQ(error_ratio(std::nextafter(3, 4), 3, 0), kInfinity);
  EXPECT_EQ(error_ratio(0x1p-1074, 0, 0), kInfinity);
}

TEST(ErrorRatio, ABoundThatIsNoBoundAcceptsNothingThatDiffers) {
  for (const double bound : {-1.0, -0.0, -kInfinity, kNan}) EXPECT_EQ(error_ratio(1.5, 1, bound), kInfinity) << bound;
  EXPECT_EQ(error_ratio(1, 1, kNan), kInfinity);
}

TEST(QuantityJudge, CountsElementsKeepsTheWorstAndTheFirstBrokenStep) {
  QuantityJudge judge(Quantity::row);
  EXPECT_FALSE(judge.touched());
  judge.element(1, 5, 1.25, 1, 0.5);
  EXPECT_TRUE(judge.touched());
  EXPECT_FALSE(judge.broken());
  judge.element(2, 7, 3, 1, 0.5);  // 4
  judge.element(3, 8, 2, 1, 0.5);  // 2
  judge.element(4, 9, 1.5, 1, 0.5);
  EXPECT_TRUE(judge.broken());
  EXPECT_EQ(judge.first_broken_step(), 2);
  const QuantityResult& r = judge.result();
  EXPECT_EQ(r.quantity, Quantity::row);
  EXPECT_EQ(r.outside, 2u);
  EXPECT_EQ(r.ratios.total(), 4u);
  EXPECT_EQ(r.ratios.largest, 4);
  EXPECT_EQ(r.worst.step, 2);
  EXPECT_EQ(r.worst.index, 7);
  EXPECT_EQ(r.worst.got, 3);
  EXPECT_EQ(r.worst.expected, 1);
  EXPECT_EQ(r.worst.bound, 0.5);
  EXPECT_EQ(r.worst.ratio, 4);
}

TEST(QuantityJudge, TakesARatioThatIsNotANumberAsBroken) {
  for (const double ratio : {kNan, -1.0}) {
    QuantityJudge judge(Quantity::row);
    judge.record(3, 0, 0, 0, 0, ratio);
    EXPECT_EQ(judge.result().outside, 1u);
    EXPECT_EQ(judge.result().worst.ratio, kInfinity);
    EXPECT_EQ(judge.first_broken_step(), 3);
  }
}

TEST(QuantityJudge, CountsElementsWithoutABoundApart) {
  QuantityJudge judge(Quantity::parameter_drift);
  EXPECT_FALSE(judge.touched());
  judge.element(1, 0, 3, 1, kInfinity);
  judge.element(1, 1, kInfinity, 1, kNan);
  EXPECT_TRUE(judge.touched()) << "and is shown";
  EXPECT_EQ(judge.result().ratios.total(), 0u);
  EXPECT_EQ(judge.result().unbounded, 2u);
  judge.element(1, 2, 1.5, 1, 1);
  judge.element(2, 3, kNan, 1, kInfinity);
  judge.element(2, 4, 1, kInfinity, kInfinity);
  EXPECT_EQ(judge.result().unbounded, 2u);
  EXPECT_EQ(judge.result().ratios.total(), 3u);
  EXPECT_EQ(judge.result().outside, 2u);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const std::vector<double> values = {1, 2, 3}, bound = {kInfinity, kNan, 1};
    std::vector<std::byte> got(3 * size_of(type));
    store(type, values, got.data());
    QuantityJudge stored(Quantity::parameter);
    stored.stored(1, type, got, values, bound);
    EXPECT_EQ(stored.result().unbounded, 2u) << to_string(type);
    EXPECT_EQ(stored.result().ratios.total(), 1u) << to_string(type);
  }
}

TEST(QuantityJudge, AnArrayIsJudgedAsItsElementsAre) {
  const std::vector<float> got = {1, 2.5f, 0, -4, float(kNan), float(kInfinity), 1, 0.5f};
  const std::vector<double> expected = {1, 2, 0, -5, 1, 1, kNan, 0.5}, bound = {0, 1, 0, 0.5, 9, 9, 9, 1e-9};
  QuantityJudge whole(Quantity::col), single(Quantity::col), wide(Quantity::col);
  whole.array(2, got, expected, bound);
  wide.array(2, std::vector<double>(got.begin(), got.end()), expected, bound);
  for (size_t i = 0; i < got.size(); ++i) single.element(2, int64_t(i), got[i], expected[i], bound[i]);
  for (const QuantityJudge* judge : {&whole, &wide}) {
    EXPECT_EQ(judge->result().outside, 4u);
    EXPECT_EQ(judge->result().outside, single.result().outside);
    EXPECT_EQ(judge->result().ratios.count, single.result().ratios.count);
    EXPECT_EQ(judge->result().worst.index, single.result().worst.index);
    EXPECT_EQ(judge->first_broken_step(), 2);
  }
}

TEST(QuantityJudge, AnArrayWithoutAnyErrorCountsAsCompared) {
  const std::vector<float> got = {1, 2};
  const std::vector<double> expected = {1, 2}, bound = {1, 1};
  QuantityJudge judge(Quantity::row);
  judge.array(4, got, expected, bound);
  EXPECT_TRUE(judge.touched());
  EXPECT_EQ(judge.result().ratios.total(), 2u);
  EXPECT_EQ(judge.result().worst.step, 4);
  EXPECT_EQ(judge.result().worst.got, 1);
}

TEST(QuantityJudge, ElementsMissingFromAnArrayAreBroken) {
  const std::vector<float> got = {1, 2};
  const std::vector<double> expected = {1, 2, 3, 4}, bound = {1, 1, kInfinity, 1};
  QuantityJudge judge(Quantity::row);
  judge.array(1, got, expected, bound);
  EXPECT_EQ(judge.result().outside, 2u);
  EXPECT_EQ(judge.result().worst.index, 2);
}

TEST(QuantityJudge, ElementsMissingFromAStoredArrayAreBroken) {
  for (const DType type : {DType::float32, DType::bfloat16, DType::float16}) {
    const std::vector<double> expected = {1, 2, 3}, bound = {1, 1, 1};
    std::vector<std::byte> got(2 * size_of(type));
    store(type, std::span(expected).first(2), got.data());
    QuantityJudge judge(Quantity::parameter);
    judge.stored(1, type, got, expected, bound);
    EXPECT_EQ(judge.result().outside, 1u) << to_string(type);
    EXPECT_EQ(judge.result().worst.index, 2) << to_string(type);
  }
}

double stored_ratio(DType type, double got, double expected, double bound) {
  std::vector<std::byte> raw(size_of(type));
  store(type, {&got, 1}, raw.data());
  QuantityJudge judge(Quantity::parameter);
  judge.stored(1, type, raw, {&expected, 1}, {&bound, 1});
  return judge.result().worst.ratio;
}

class Stored : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Formats, Stored, testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(Stored, IsAcceptedExactlyWhereItIsTheRoundingOfAValueWithinTheBound) {
  const DType type = GetParam();
  const double ulp = 2 * unit_roundoff(type);  // of [1, 2)
  for (const double v : {1.0, 1 + ulp, 1.5, 2 - ulp, -1.0, -1.5}) {
    const Interval in = rounding_interval(type, v);
    for (const double bound : {0.0, ulp / 8, 3 * ulp}) {
      EXPECT_LE(stored_ratio(type, v, in.high + bound, bound), 1) << v << " " << bound;
      EXPECT_LE(stored_ratio(type, v, in.low - bound, bound), 1) << v << " " << bound;
      EXPECT_GT(stored_ratio(type, v, std::nextafter(in.high + bound, 9), bound), 1) << v << " " << bound;
      EXPECT_GT(stored_ratio(type, v, std::nextafter(in.low - bound, -9), bound), 1) << v << " " << bound;
    }
    EXPECT_EQ(stored_ratio(type, v, v, 0), 0);
  }
}

TEST_P(Stored, NanAndInfinitiesAreWhatTheReferenceSays) {
  const DType type = GetParam();
  EXPECT_EQ(stored_ratio(type, kNan, 1, 1e300), kInfinity);
  EXPECT_EQ(stored_ratio(type, 1, kNan, 1e300), kInfinity);
  EXPECT_EQ(stored_ratio(type, kNan, kNan, 0), 0);
  EXPECT_EQ(stored_ratio(type, kInfinity, kInfinity, 0), 0);
  EXPECT_EQ(stored_ratio(type, -kInfinity, kInfinity, 0), kInfinity);
  EXPECT_EQ(stored_ratio(type, 1, kInfinity, 1), kInfinity);
  const double threshold = rounding_interval(type, kInfinity).low, below = std::nextafter(threshold, 0);
  EXPECT_EQ(stored_ratio(type, kInfinity, threshold, 0), 0);
  EXPECT_EQ(stored_ratio(type, kInfinity, below, 0), kInfinity);
  EXPECT_LE(stored_ratio(type, kInfinity, below, threshold - below), 1);
}

TEST(Stored, Float32IsJudgedByItsValue) {
  EXPECT_EQ(stored_ratio(DType::float32, 1.5, 1, 0.5), 1);
  EXPECT_EQ(stored_ratio(DType::float32, kNan, 1, 1e300), kInfinity);
}

}  // namespace
}  // namespace plumbline::harness
