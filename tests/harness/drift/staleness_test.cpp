#include "harness/drift/staleness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::harness {
namespace {

using reference::Vector;

// An average whose codes stand on a grid of h octaves, rounded to the nearest.
struct Grid {
  double octaves;
  double operator()(double v) const { return std::exp2(octaves * std::nearbyint(std::log2(v) / octaves)); }
};

TEST(Staleness, AFrozenAverageIsStaleAndPredictedToBe) {
  // constant samples 20 % above the stored value, weight 1/100: half a step of 1/8 octave is 4.4 %, never reached
  constexpr double kWeight = 0.01;
  const Grid grid{0.125};
  StalenessMeter meter;
  Vector exact = Vector::Constant(10, 1.0), stored = exact;
  for (int64_t t = 1; t <= 101; ++t) {
    const Vector sample = Vector::Constant(10, 1.2);
    const Flags predicted = log_grid_freezes(stored, sample, Vector::Constant(10, grid.octaves), kWeight);
    exact = (1 - kWeight) * exact + kWeight * sample;
    const Vector now = (1 - kWeight) * stored + kWeight * sample;
    const Vector before = stored;
    for (int i = 0; i < 10; ++i) stored[i] = grid(now[i]);
    meter.step(t, kWeight, exact, stored, stored == before, predicted);
  }
  ASSERT_EQ(meter.windows().size(), 1u);
  const StalenessWindow& w = meter.windows()[0];
  EXPECT_EQ(w.first, 1);
  EXPECT_EQ(w.last, 101);
  EXPECT_EQ(w.moving, 10);
  EXPECT_EQ(w.stale, 1);
  EXPECT_EQ(w.predicted_stale, 1);
  EXPECT_EQ(w.frozen, 1);
  EXPECT_EQ(w.predicted_frozen, 1);
}

TEST(Staleness, AnAverageWithoutStorageRoundingIsNeverStale) {
  StalenessMeter meter;
  Vector exact = Vector::Constant(4, 1.0);
  for (int64_t t = 1; t <= 40; ++t) {
    exact *= 1.01;
    meter.step(t, 0.25, exact, exact, Flags::Constant(4, false), Flags::Constant(4, false));
  }
  ASSERT_GE(meter.windows().size(), 9u);
  for (const StalenessWindow& w : meter.windows()) {
    EXPECT_EQ(w.last - w.first, 4);
    EXPECT_EQ(w.stale, 0);
    EXPECT_EQ(w.frozen, 0);
  }
}

TEST(Staleness, ThePredictionNamesExactlyTheCodesThatStand) {
  std::mt19937_64 engine(std::random_device{}());
  std::exponential_distribution<double> sample_of(1.0);
  std::uniform_real_distribution<double> octave(-3, 3);
  const Grid grid{0.04};
  int standing = 0, total = 0;
  for (const double w : {0.5, 0.1, 0.02, 0.004}) {
    Vector stored(200), sample(200);
    for (int i = 0; i < 200; ++i) {
      stored[i] = grid(std::exp2(octave(engine)));
      sample[i] = stored[i] * sample_of(engine);
    }
    const Flags predicted = log_grid_freezes(stored, sample, Vector::Constant(200, grid.octaves), w);
    for (int i = 0; i < 200; ++i) {
      const double next = (1 - w) * stored[i] + w * sample[i];
      const double distance = std::fabs(std::log2(next / stored[i])) / grid.octaves;
      if (std::fabs(distance - 0.5) < 1e-9) continue;  // on the edge itself
      EXPECT_EQ(predicted[i], grid(next) == stored[i]) << w << ' ' << stored[i] << ' ' << sample[i];
      standing += predicted[i];
      ++total;
    }
  }
  EXPECT_GT(standing, total / 10);
  EXPECT_LT(standing, total * 9 / 10);

  const Vector v = Vector::Constant(3, 1.0);
  Vector s(3);
  s << 1.99, 2.01, 0.01;
  const Flags even = even_grid_freezes(v, s, Vector::Constant(3, 0.2), 0.1);
  EXPECT_TRUE(even[0]);
  EXPECT_FALSE(even[1]);
  EXPECT_TRUE(even[2]);
}

TEST(Staleness, AZeroStandsWhileNothingComes) {
  Vector stored = Vector::Zero(2), sample(2);
  sample << 0.0, 1e-30;
  const Flags stands = log_grid_freezes(stored, sample, Vector::Constant(2, 0.1), 0.1);
  EXPECT_TRUE(stands[0]);
  EXPECT_FALSE(stands[1]);
}

}  // namespace
}  // namespace plumbline::harness
