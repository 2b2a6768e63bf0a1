#include "harness/result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>

namespace plumbline::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

int bucket_of(double ratio) {
  RatioHistogram histogram;
  histogram.add(ratio);
  for (int bucket = 0; bucket < RatioHistogram::kBuckets; ++bucket) {
    if (histogram.count[bucket] == 1) return bucket;
  }
  return -1;
}

TEST(Names, AreDistinctAndKnown) {
  std::set<std::string> names;
  for (int q = 0; q < kQuantities; ++q) names.insert(to_string(static_cast<Quantity>(q)));
  EXPECT_EQ(names.size(), kQuantities);
  EXPECT_EQ(names.count("?"), 0u);
  std::set<std::string> verdicts;
  for (int v = 0; v < kVerdicts; ++v) verdicts.insert(to_string(static_cast<Verdict>(v)));
  EXPECT_EQ(verdicts.size(), kVerdicts);
  EXPECT_EQ(verdicts.count("?"), 0u);
  EXPECT_STREQ(to_string(static_cast<Quantity>(kQuantities)), "?");
}

TEST(SizeClasses, EndAt64And1024Elements) {
  EXPECT_EQ(size_class(1), SizeClass::small);
  EXPECT_EQ(size_class(64), SizeClass::small);
  EXPECT_EQ(size_class(65), SizeClass::medium);
  EXPECT_EQ(size_class(1024), SizeClass::medium);
  EXPECT_EQ(size_class(1025), SizeClass::large);
  EXPECT_EQ(loose_below(SizeClass::small), 0.2);
  EXPECT_EQ(loose_below(SizeClass::medium), 0.05);
  EXPECT_EQ(loose_below(SizeClass::large), 0.01);
}

TEST(RatioHistogram, PutsEveryRatioBetweenTheEdgesOfItsBucket) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-30, 8);
  for (int i = 0; i < 100000; ++i) {
    const double ratio = std::exp2(exponent(random));
    const int bucket = bucket_of(ratio);
    ASSERT_LE(ratio, RatioHistogram::upper_edge(bucket));
    if (bucket > 1) {
      ASSERT_GT(ratio, RatioHistogram::upper_edge(bucket - 1));
    }
  }
}

TEST(RatioHistogram, CountsAnEdgeInTheBucketThatItEnds) {
  for (int octave = -24; octave <= 6; ++octave) {
    const double edge = std::ldexp(1.0, octave);
    const int bucket = bucket_of(edge);
    if (octave > -24) {
      EXPECT_EQ(RatioHistogram::upper_edge(bucket), edge);
    }
    EXPECT_EQ(bucket_of(std::nextafter(edge, kInfinity)), bucket + (octave > -24 ? 1 : 0)) << edge;
  }
  EXPECT_EQ(RatioHistogram::upper_edge(bucket_of(1.0)), 1.0);
}

TEST(RatioHistogram, HasBucketsForZeroTheTiniestAndTheBeyond) {
  EXPECT_EQ(bucket_of(0.0), 0);
  EXPECT_EQ(bucket_of(-0.0), 0);
  EXPECT_EQ(bucket_of(std::numeric_limits<double>::denorm_min()), 1);
  EXPECT_EQ(bucket_of(0x1p-24), 1);
  EXPECT_EQ(bucket_of(64.0), 120);
  EXPECT_EQ(bucket_of(64.5), 121);
  EXPECT_EQ(bucket_of(kInfinity), 121);
}

TEST(RatioHistogram, TakesWhatIsNotANumberAsInfinitelyFarOut) {
  for (const double ratio : {kNan, -kNan, -1.0, kInfinity}) {
    RatioHistogram histogram;
    histogram.add(0.5);
    histogram.add(ratio);
    histogram.add(0.25);
    EXPECT_EQ(histogram.largest, kInfinity);
    EXPECT_EQ(histogram.count[121], 1u);
    EXPECT_EQ(histogram.quantile(1), kInfinity);
  }
  RatioHistogram finite;
  finite.add(100);
  EXPECT_EQ(finite.largest, 100);
}

TEST(RatioHistogram, QuantilesAreUpperEdges) {
  RatioHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  for (int i = 0; i < 98; ++i) histogram.add(0.0);
  histogram.add(0.5);
  histogram.add(1.0);
  EXPECT_EQ(histogram.total(), 100u);
  EXPECT_EQ(histogram.quantile(0), 0);
  EXPECT_EQ(histogram.quantile(0.5), 0);
  EXPECT_EQ(histogram.quantile(0.98), 0);
  EXPECT_EQ(histogram.quantile(0.99), 0.5);
  EXPECT_EQ(histogram.quantile(1), 1);
}

TEST(RatioHistogram, MergedEqualsAddedTogether) {
  RatioHistogram left, right, both;
  for (const double ratio : {0.0, 0.3, 2.0}) left.add(ratio), both.add(ratio);
  for (const double ratio : {0.3, 5.0, kNan}) right.add(ratio), both.add(ratio);
  left.merge(right);
  EXPECT_EQ(left.count, both.count);
  EXPECT_EQ(left.largest, both.largest);
}

TEST(RunSummary, IsGreenOnlyWhenSomethingWasJudgedAndNothingIsRed) {
  const auto with = [](Verdict verdict) {
    RunSummary summary;
    summary.verdicts[static_cast<size_t>(Verdict::pass)] = 7;
    ++summary.verdicts[static_cast<size_t>(verdict)];
    return summary;
  };
  for (const Verdict green : {Verdict::pass, Verdict::marginal, Verdict::skipped}) {
    EXPECT_TRUE(with(green).green()) << to_string(green);
    EXPECT_FALSE(is_red(green));
  }
  for (const Verdict red : {Verdict::vacuous, Verdict::fail, Verdict::error}) {
    EXPECT_FALSE(with(red).green()) << to_string(red);
    EXPECT_TRUE(is_red(red));
  }
  EXPECT_EQ(with(Verdict::skipped).cases(), 8u);
  EXPECT_FALSE(RunSummary{}.green());
  RunSummary only_skipped;
  only_skipped.verdicts[static_cast<size_t>(Verdict::skipped)] = 3;
  EXPECT_FALSE(only_skipped.green());
  RunSummary broken_run = with(Verdict::pass);
  broken_run.errors.push_back("the trace is truncated");
  EXPECT_FALSE(broken_run.green());
}

}  // namespace
}  // namespace plumbline::harness
