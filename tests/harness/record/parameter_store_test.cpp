// Parameters kept in fewer bits than they are stepped in: what is right passes, rounding to nearest instead and a bias
// of half a grain are found.
#include "harness/record/parameter_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plumbline::harness {
namespace {

using reference::Vector;
using testing::HasSubstr;

enum class Draw { right, nearest, biased, down };

// A tensor that random updates move, stepped in double and rounded to bfloat16.
struct Walk {
  ParameterStore store;
  Vector recorded;
  std::mt19937_64 random;

  explicit Walk(ParameterStorage how, int64_t size = 1000, uint64_t seed = 1)
      : store(how, DType::bfloat16, DType::float32), recorded(size), random(seed) {
    std::normal_distribution<double> normal;
    for (double& p : recorded) p = round_to(DType::bfloat16, 0.1 * normal(random));
    store.start(recorded, std::nullopt);
  }
  BoundedVector stepped() {
    std::normal_distribution<double> normal;
    BoundedVector out = store.read();
    for (Bounded& x : out) {
      x.value += 1e-3 * normal(random);
      x.error += 1e-9;
    }
    return out;
  }
  // Values outside what may be recorded.
  int step(Draw draw) {
    std::uniform_real_distribution<double> uniform;
    const BoundedVector x = stepped();
    Vector now(recorded.size());
    for (int64_t i = 0; i < now.size(); ++i) {
      const double v = x[size_t(i)].value, below = round_down(DType::bfloat16, v), above = round_up(DType::bfloat16, v);
      const double p = above > below ? (v - below) / (above - below) : 0;
      const bool up = draw == Draw::right    ? uniform(random) < p
                      : draw == Draw::biased ? uniform(random) < std::min(1.0, p + 0.5)
                                             : p > 0.5;
      now[i] = draw == Draw::down ? below - (above - below) : up ? above : below;
    }
    const BoundedVector may = store.stored(x);
    int outside = 0;
    for (int64_t i = 0; i < now.size(); ++i)
      outside += !(std::fabs(now[i] - x[size_t(i)].value) <= may[size_t(i)].error);
    store.left(x, now, std::nullopt);
    recorded = now;
    return outside;
  }
};

TEST(ParameterStore, NeighboursOfTheFormat) {
  EXPECT_EQ(round_down(DType::bfloat16, 1), 1);
  EXPECT_EQ(round_up(DType::bfloat16, 1), 1);
  EXPECT_EQ(round_down(DType::bfloat16, 1.001), 1);
  EXPECT_EQ(round_up(DType::bfloat16, 1.001), 1 + 0x1p-7);
  EXPECT_EQ(round_down(DType::bfloat16, 0.9999), 1 - 0x1p-8);
  EXPECT_EQ(round_up(DType::bfloat16, 0.9999), 1);
  EXPECT_EQ(round_down(DType::bfloat16, -0.9999), -1);
  EXPECT_EQ(round_up(DType::bfloat16, -1.001), -1);
  EXPECT_EQ(round_down(DType::bfloat16, -1.001), -1 - 0x1p-7);
}

// 50 runs of 4,000 roundings: at a level of 1e-9 none is a false alarm.
TEST(ParameterStore, RightStochasticRoundingPasses) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Walk walk(ParameterStorage::stochastic, 1000, seed);
    for (int t = 0; t < 4; ++t) EXPECT_EQ(walk.step(Draw::right), 0);
    EXPECT_EQ(walk.store.test().fault(), "") << seed;
    EXPECT_TRUE(walk.store.test().telling());
  }
}

TEST(ParameterStore, RoundingToNearestIsNotStochastic) {
  Walk walk(ParameterStorage::stochastic);
  for (int t = 0; t < 4; ++t) EXPECT_EQ(walk.step(Draw::nearest), 0) << "each value is one of two neighbours";
  EXPECT_THAT(walk.store.test().fault(), HasSubstr("not rounded stochastically"));
}

TEST(ParameterStore, ABiasOfHalfAGrainIsFound) {
  Walk walk(ParameterStorage::stochastic);
  walk.step(Draw::biased);
  EXPECT_THAT(walk.store.test().fault(), HasSubstr("too many go up"));
}

TEST(ParameterStore, AGrainOffIsOutside) {
  Walk walk(ParameterStorage::stochastic);
  EXPECT_GT(walk.step(Draw::down), 900);
}

TEST(ParameterStore, FewValuesTellNothing) {
  Walk walk(ParameterStorage::stochastic, 40);
  for (int t = 0; t < 4; ++t) walk.step(Draw::right);
  EXPECT_EQ(walk.store.test().fault(), "");
  EXPECT_FALSE(walk.store.test().telling());
}

// What is kept beside the parameter goes on from step to step, and rounds to what is recorded; without it the recorded
// parameter soon lies elsewhere.
TEST(ParameterStore, AMasterCopyIsCarried) {
  for (const auto how : {ParameterStorage::master, ParameterStorage::split, ParameterStorage::compensated}) {
    ParameterStore store(how, DType::bfloat16, DType::float32);
    std::mt19937_64 random(3);
    std::normal_distribution<double> normal;
    Vector p(500);
    for (double& v : p) v = round_to(DType::bfloat16, 0.1 * normal(random));
    store.start(p, std::nullopt);
    Vector master = p, lossy = p;
    uint64_t right_outside = 0, lossy_outside = 0;
    for (int t = 0; t < 8; ++t) {
      BoundedVector x = store.read();
      Vector now(p.size());
      for (int64_t i = 0; i < p.size(); ++i) {
        const double step = 1e-4 * normal(random);
        x[size_t(i)].value += step;
        x[size_t(i)].error += half_ulp(DType::float32, std::fabs(master[i]));
        master[i] = float(master[i] + step);
        now[i] = round_to(DType::bfloat16, master[i]);
        lossy[i] = round_to(DType::bfloat16, lossy[i] + step);
      }
      const BoundedVector may = store.stored(x);
      for (int64_t i = 0; i < p.size(); ++i) {
        right_outside += !(std::fabs(now[i] - x[size_t(i)].value) <= may[size_t(i)].error);
        lossy_outside += !(std::fabs(lossy[i] - x[size_t(i)].value) <= may[size_t(i)].error);
      }
      store.left(x, now, std::nullopt);
    }
    EXPECT_EQ(right_outside, 0u) << to_string(how);
    EXPECT_GT(lossy_outside, 20u) << to_string(how);
  }
}

}  // namespace
}  // namespace plumbline::harness
