#include "harness/codecs/average.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/codecs/staleness.h"

namespace plumbline::harness::codecs {
namespace {

using reference::Rounding;

Storage storage(StateKind kind, const std::string& name) {
  for (const Storage& s : storages(kind))
    if (s.name == name) return s;
  throw std::out_of_range(name);
}

AverageSamples samples(const std::string& brief, uint64_t seed) {
  for (const AverageScenario& scenario : average_scenarios())
    if (scenario.brief == brief) return draw_samples(scenario, seed);
  throw std::out_of_range(brief);
}

constexpr auto kV = StateKind::second_moment, kM = StateKind::momentum;

TEST(CodecAverage, Float32DriftsByItsRoundings) {
  const AverageFigures f = run_average(storage(kV, "fp32"), samples("V", 1), 1);
  EXPECT_TRUE(f.drift.within());
  EXPECT_LE(f.drift.bound, 1000 * 0x1p-23);  // half an ulp a step, summed by the weights to 1/w of them
  EXPECT_GE(f.drift.measured, 0x1p-25);      // and it is not exact
  EXPECT_EQ(f.stale, 0);
}

// At a fixed range a step of al8 is wider than the average moves: every code stays, as predicted, while what it stands
// for falls to a sixtieth.
TEST(CodecAverage, NearestFreezesWhereTheRangeStays) {
  const AverageSamples drawn = samples("V falls, pinned", 2);
  const AverageFigures f = run_average(storage(kV, "al8"), drawn, 2);
  EXPECT_GE(f.predicted, 0.99);
  EXPECT_GE(f.stale, 0.99);
  EXPECT_GE(f.drift.measured, 30);
  EXPECT_TRUE(f.drift.within());
  const AverageFigures unfrozen = run_average(storage(kV, "al8 stochastic"), drawn, 2);
  EXPECT_LE(unfrozen.stale, 0.1);
  EXPECT_LE(unfrozen.drift.measured, 1);
}

TEST(CodecAverage, MovingRangesFreeCodes) {
  const AverageFigures f = run_average(storage(kV, "al8"), samples("V falls", 2), 2);
  EXPECT_LE(f.stale, 0.1);
  EXPECT_LE(f.drift.measured, 0.2);
}

// Unbiased rounding errors add up to the root of their variances: within a third, over 128 values.
TEST(CodecAverage, StochasticDriftsAsItsVariancesSay) {
  for (const auto& [kind, name, brief] : {std::tuple{kV, "al8 stochastic", "V"},
                                          {kV, "al16 stochastic", "R"},
                                          {kM, "uf8 stochastic", "M"},
                                          {kM, "bf16 stochastic", "M"}}) {
    const AverageFigures f = run_average(storage(kind, name), samples(brief, 5), 5);
    EXPECT_GE(f.drift.measured, f.expected / 1.5) << name;
    EXPECT_LE(f.drift.measured, f.expected * 1.5) << name;
    EXPECT_LE(std::abs(f.bias), 3 * f.expected) << name;
    EXPECT_TRUE(f.drift.within()) << name;
  }
}

TEST(CodecAverage, IsTheSameForTheSameSeed) {
  const AverageSamples drawn = samples("M", 3);
  const Storage s = storage(kM, "uf4 stochastic");
  EXPECT_EQ(run_average(s, drawn, 1).drift.measured, run_average(s, drawn, 1).drift.measured);
  EXPECT_NE(run_average(s, drawn, 1).drift.measured, run_average(s, drawn, 2).drift.measured);
}

TEST(CodecAverage, PinnedValuesBoundTheOthers) {
  const AverageSamples drawn = samples("V pinned", 4);
  double low = 1, high = 0;
  for (size_t i = 0; i < drawn.scale.size(); ++i)
    if (!drawn.pinned(i)) low = std::min(low, drawn.scale[i]), high = std::max(high, drawn.scale[i]);
  EXPECT_TRUE(drawn.pinned(0) && drawn.pinned(1) && drawn.pinned(64) && !drawn.pinned(2));
  EXPECT_LT(drawn.scale[0], low / 1000);
  EXPECT_GT(drawn.scale[65], high);
}

}  // namespace
}  // namespace plumbline::harness::codecs
