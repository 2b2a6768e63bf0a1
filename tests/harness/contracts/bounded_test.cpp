// Numbers that carry error bounds: what floats do stays inside, and comes close.
#include "harness/contracts/bounded.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/contracts/bounded_chain.h"
#include "reference/dialects/dialect.h"
#include "reference/dialects/plumbline.h"

namespace plumbline::harness {
namespace {

constexpr double kAnything = TypeRounding::kAnything;

PeerArithmetic in(DType results, bool probable = false) {
  PeerArithmetic::Options options;
  options.results = results;
  options.probable = probable;
  return PeerArithmetic(options);
}

std::mt19937_64 seeded() {
  const uint64_t seed = std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return std::mt19937_64(seed);
}

TEST(Bounded, FloatOperationsStayWithinTheirBounds) {
  std::mt19937_64 random = seeded();
  const TypeRounding r(DType::float32);
  std::uniform_real_distribution<double> exponent(-70, 60), fraction(-2, 2);
  double closest = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto a = float(std::ldexp(fraction(random), int(exponent(random))));
    const auto b = float(std::ldexp(fraction(random), int(exponent(random))));
    const auto check = [&](float got, Bounded bound) {
      if (bound.error == kAnything) return;
      const double error = std::fabs(got - bound.value);
      ASSERT_LE(error, bound.error) << a << " " << b;
      if (bound.error > 0) closest = std::max(closest, error / bound.error);
    };
    check(a + b, r.sum({a}, {b}));
    check(a - b, r.difference({a}, {b}));
    check(a * b, r.product({a}, {b}));
    check(a / b, r.quotient({a}, {b}));
    check(std::sqrt(std::fabs(a)), r.root({std::fabs(a)}));
  }
  EXPECT_GE(closest, 0.99);
}

// Each operand anywhere within its own error.
TEST(Bounded, ErrorsOfOperandsArePropagated) {
  std::mt19937_64 random = seeded();
  const TypeRounding r(DType::float64);
  std::uniform_real_distribution<double> value(-3, 3), width(0, 0.5), inside(-1, 1);
  double closest = 0;
  for (int i = 0; i < 100000; ++i) {
    const Bounded a{value(random), width(random)}, b{value(random), width(random)};
    const bool edge = i % 2 == 0;
    const double s = inside(random), t = inside(random);
    const double x = a.value + a.error * (edge ? std::copysign(1, s) : s);
    const double y = b.value + b.error * (edge ? std::copysign(1, t) : t);
    const auto check = [&](double got, Bounded bound) {
      if (bound.error == kAnything) return;
      const double error = std::fabs(got - bound.value);
      ASSERT_LE(error, bound.error * (1 + 1e-12));  // a bound is evaluated in double
      closest = std::max(closest, error / bound.error);
    };
    check(x + y, r.sum(a, b));
    check(x * y, r.product(a, b));
    if (std::fabs(b.value) > b.error) check(x / y, r.quotient(a, b));
    if (a.value > 0 && x >= 0) check(std::sqrt(x), r.root(a));
    check(std::max(x, y), at_least(a, b));
  }
  EXPECT_GE(closest, 0.99);
}

TEST(Bounded, SumsInAnyOrderStayWithinTheirBound) {
  std::mt19937_64 random = seeded();
  std::normal_distribution<double> normal;
  const PeerArithmetic arithmetic = in(DType::float32);
  double closest = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> terms(1 + random() % 40);
    for (float& x : terms) x = float(trial % 2 ? normal(random) : std::fabs(normal(random)));
    BoundedSum sum;
    for (const float x : terms) sum.add({x});
    const Bounded bound = arithmetic.total(sum);
    for (int order = 0; order < 20; ++order) {
      std::shuffle(terms.begin(), terms.end(), random);
      std::vector<float> tree = terms;
      while (tree.size() > 1) {  // two at random become one
        const size_t i = random() % (tree.size() - 1);
        tree[i] += tree.back();
        tree.pop_back();
      }
      const double error = std::max(std::fabs(tree[0] - bound.value),
                                    std::fabs(std::accumulate(terms.begin(), terms.end(), 0.0f) - bound.value));
      ASSERT_LE(error, bound.error);
      if (bound.error > 0) closest = std::max(closest, error / bound.error);
    }
  }
  EXPECT_GE(closest, 0.3);
}

TEST(Bounded, LongSumsArePermittedLessThanTheirWorstWhereRoundingsAreIndependent) {
  BoundedSum sum;
  for (int i = 0; i < 10000; ++i) sum.add({1});
  const double worst = in(DType::float32).total(sum).error, probable = in(DType::float32, true).total(sum).error;
  EXPECT_NEAR(worst / (9999 * 0x1p-24 * 10000), 1, 1e-3);
  EXPECT_NEAR(probable / (7 * std::sqrt(9999) * 0x1p-24 * 10000), 1, 1e-3);
  BoundedSum few;
  for (int i = 0; i < 50; ++i) few.add({1});
  EXPECT_EQ(in(DType::float32).total(few).error, in(DType::float32, true).total(few).error);
}

TEST(Bounded, SixteenBitSumsAccumulateInFloat32AndRoundOnce) {
  BoundedSum sum;
  for (int i = 0; i < 1000; ++i) sum.add({1});
  EXPECT_NEAR(in(DType::bfloat16).total(sum).error / (1000 * (0x1p-8 + 999 * 0x1p-24)), 1, 0.01);
}

TEST(Bounded, WhatIsExactStaysExact) {
  const TypeRounding r(DType::float32);
  EXPECT_EQ(r.product({3}, {1}).error, 0);
  EXPECT_EQ(r.quotient({3}, {1}).error, 0);
  EXPECT_EQ(r.sum({3}, {0}).error, 0);
  EXPECT_EQ(r.product({0}, {3}).error, 0);
  EXPECT_EQ(in(DType::float32).at_use({0.5}).error, 0);
  EXPECT_GT(in(DType::float32).at_use({0.1}).error, 0);
}

TEST(Bounded, SubnormalResultsLoseHalfTheSmallestOrAllOfThemselves) {
  EXPECT_NEAR(TypeRounding(DType::float32).product({1e-20}, {1e-20}).error, 0x1p-150, 1e-47);
  EXPECT_NEAR(TypeRounding(DType::float32, true).product({1e-20}, {1e-20}).error, 1e-40, 1e-46);
  EXPECT_NEAR(TypeRounding(DType::float32).product({1e-30}, {1e-30}).error, 1e-60, 1e-66);
}

TEST(Bounded, OverflowAndDivisionByWhatMayBeZeroBoundNothing) {
  const TypeRounding r(DType::float32);
  EXPECT_EQ(r.product({1e30}, {1e30}).error, kAnything);
  EXPECT_EQ(r.quotient({1}, {1e-3, 1e-3}).error, kAnything);
  EXPECT_EQ(r.sum({1, kAnything}, {2}).error, kAnything);
  EXPECT_EQ(r.product({0, 1e-9}, {2, kAnything}).error, kAnything);
}

TEST(Bounded, StoringRoundsByHalfAnUlpOfTheBinade) {
  EXPECT_EQ(half_ulp(DType::float32, 1), 0x1p-24);
  EXPECT_EQ(half_ulp(DType::float32, 1.999), 0x1p-24);
  EXPECT_EQ(half_ulp(DType::bfloat16, 2), 0x1p-7);
  EXPECT_EQ(half_ulp(DType::float16, 1e-6), 0x1p-25);
  EXPECT_EQ(half_ulp(DType::float32, kAnything), kAnything);
  EXPECT_EQ(in(DType::float32).stored({0}, DType::float32).error, 0);
}

TEST(Bounded, AFloorHidesWhatLiesBelowIt) {
  EXPECT_EQ(at_least({1}, {0.5, 0.25}).error, 0);
  EXPECT_EQ(at_least({1}, {0.5, 0.75}).error, 0.25);
  EXPECT_EQ(at_least({1}, {2, 0.5}).error, 0.5);
  EXPECT_TRUE(std::isnan(at_least({1}, {NAN}).value));
}

// The bounds' own values are those of the reference: a contract about another equation would show here.
TEST(BoundedChain, FollowsTheReferenceInEveryDialect) {
  std::mt19937_64 random = seeded();
  std::normal_distribution<double> normal;
  const reference::Shape shape = {6, 10};
  const std::map<std::string, std::vector<std::vector<reference::NamedOption>>> options = {
      {"came", {{{"lr", "0.01"}, {"weight_decay", "0.1"}}}},
      {"apollo", {{}, {{"rank", "2"}, {"scale_type", "channel"}, {"scale", "4"}, {"weight_decay", "0.1"}}}},
      {"fira", {{{"rank", "2"}, {"alpha", "0.5"}}}},
      {"huggingface", {{{"beta1", "0.9"}, {"weight_decay", "0.1"}, {"warmup_init", "true"}}}},
      {"optax", {{{"min_dim_size_to_factor", "1"}, {"momentum", "0.9"}, {"weight_decay_rate", "0.1"}}, {}}},
      {"adafactor8bit",
       {{},
        {{"beta1", "0.9"}, {"beta2", "0.99"}, {"relative_step", "false"}, {"enable_fira_for_adafactor", "true"}},
        {{"beta1", "0.9"}, {"beta3", "0.999"}},
        {{"beta1", "0.9"}, {"beta2", "0.99"}, {"relative_step", "false"}, {"factored", "false"}},
        {{"beta2_decay", "none"}, {"beta1", "0.9"}, {"relative_step", "false"}},
        {{"apollo_rank", "2"}, {"beta1", "0.9"}, {"beta3", "0.9"}, {"eps_came", "0.001"}},
        {{"apollo_rank", "2"}, {"beta1", "0.9"}, {"beta3", "0.9"}, {"apollo_factorize", "true"}, {"eps_came", "0.001"}},
        {{"apollo_rank", "2"}, {"apollo_factorize", "true"}, {"apollo_scale", "4"}, {"maximize", "true"}},
        {{"apollo_rank", "2"}, {"apollo_factorize", "true"}, {"apollo_update_proj_gap", "2"}}}},
      {"torch-adamw", {{}, {{"amsgrad", "true"}, {"maximize", "true"}}}},
      {"galore", {{{"rank", "2"}}, {{"rank", "2"}, {"proj_type", "left"}}}},
      {"pytorch-optimizer-adafactor",
       {{{"momentum_dtype", "float64"}},
        {{"momentum_dtype", "float64"}, {"weight_decay", "0.1"}, {"weight_decouple", "false"}}}},
      {"timm-adafactor",
       {{{"min_dim_size_to_factor", "1"}, {"betas", "[0.9, 0.999]"}, {"caution", "true"}, {"weight_decay", "0.1"}}}},
      {"timm-adafactor-bv", {{{"momentum_dtype", "float64"}, {"min_dim_size_to_factor", "1"}}}},
  };
  std::map<std::string, std::vector<bool>> taken;
  for (const reference::Dialect& dialect : reference::dialects()) {
    const auto at = options.find(std::string(dialect.name));
    const auto sets = at == options.end() ? std::vector<std::vector<reference::NamedOption>>{{}} : at->second;
    std::vector<bool>& by_some = taken[std::string(dialect.name)];
    by_some.resize(sets.size());
    for (size_t k = 0; k < sets.size(); ++k) {
      std::vector<std::string> defects;
      for (const reference::Defect& defect : dialect.defects) defects.emplace_back(defect.name);
      std::optional<reference::Optimizer> made;
      try {
        made = dialect.make(sets[k], shape, {.defects = defects});
      } catch (const std::invalid_argument&) {
        if (!dialect.versions.first) throw;
        continue;  // not every version has every option
      }
      by_some[k] = true;
      reference::Optimizer& optimizer = *made;
      BoundedChain chain(optimizer, {.results = DType::float64}, {.parameter = DType::float64, .slots = {}});
      if (reference::Tensor* projection = optimizer.state(reference::Slot::projection)) {
        for (double& x : projection->data) x = normal(random);
        set_exact(*chain.state(reference::Slot::projection), projection->data);
      }
      reference::Tensor p(shape), g(shape);
      for (double& x : p.data) x = normal(random);
      BoundedVector bounded;
      set_exact(bounded, p.data);
      for (int64_t t = 1; t <= 4; ++t) {
        for (double& x : g.data) x = std::ldexp(normal(random), int(2 * t));
        optimizer.step(p, g);
        chain.step(t, bounded, g);
        for (int64_t i = 0; i < p.size(); ++i) {
          ASSERT_NEAR(bounded[size_t(i)].value, p.data[i], 1e-12 * std::fabs(p.data[i]) + 1e-14)
              << dialect.name << ' ' << dialect.versions.text() << " set " << k << " step " << t;
          ASSERT_LE(std::fabs(bounded[size_t(i)].value - p.data[i]), bounded[size_t(i)].error);
          ASSERT_LT(bounded[size_t(i)].error, 1e-4)  // optax has its weights in float32
              << dialect.name << ' ' << dialect.versions.text() << " set " << k << " step " << t;
        }
      }
    }
  }
  for (const auto& [name, sets] : taken)
    for (size_t k = 0; k < sets.size(); ++k) EXPECT_TRUE(sets[k]) << name << ": nobody takes set " << k;
}

// As torch evaluates a lerp; where one of both is far larger, every rounding is of it.
TEST(BoundedChain, AnAverageThatIsALerpStaysWithinItsBound) {
  std::mt19937_64 random = seeded();
  std::uniform_real_distribution<float> between(1, 2);
  constexpr int64_t kValues = 20000;
  double closest = 0;
  for (const char* decay : {"-0.5", "-0.8", "-0.9"})
    for (int64_t t = 2; t <= 5; ++t)
      for (const float size : {0.01f, 1.0f, 100.0f}) {
        const std::vector<reference::NamedOption> options = {{"beta2_decay", decay}};
        const reference::Optimizer optimizer = reference::find_dialect("torch").make(options, {kValues}, {});
        BoundedChain chain(optimizer, {}, {});
        reference::Tensor old({kValues}), g({kValues});
        for (double& x : old.data) x = between(random);
        for (double& x : g.data) x = double(size * between(random));
        BoundedVector p(kValues, {0.5}), &v = *chain.state(reference::Slot::second_moment);
        set_exact(v, old.data);
        chain.step(t, p, g);
        const double w = std::pow(double(t), std::stod(decay));
        for (int64_t i = 0; i < kValues; ++i) {
          const auto start = float(old.data[i]), end = float(g.data[i]) * float(g.data[i]), weight = float(w);
          const float got = w < 0.5 ? start + weight * (end - start) : end - (end - start) * (1 - weight);
          const Bounded bound = v[size_t(i)];
          ASSERT_LE(std::fabs(double(got) - bound.value), bound.error) << decay << " " << t << " " << size;
          closest = std::max(closest, std::fabs(double(got) - bound.value) / bound.error);
        }
      }
  EXPECT_GE(closest, 0.7);
}

TEST(BoundedChain, ProductionsOwnRuleHasBoundsToo) {
  reference::Optimizer optimizer =
      reference::make_plumbline({.weight_decay = 0.1, .nonfinite = reference::Nonfinite::skip}, {3, 4});
  BoundedChain chain(optimizer, {}, {});
  BoundedVector p(12, {0.5});
  reference::Tensor g({3, 4}, reference::Vector::Constant(12, 0.25));
  chain.step(1, p, g);
  EXPECT_NE(p[0].value, 0.5);
  EXPECT_GT(p[0].error, 0);
  const Bounded before = p[0];
  g.data[3] = std::numeric_limits<double>::quiet_NaN();
  chain.step(2, p, g);  // skipped: nothing moves
  EXPECT_EQ(p[0].value, before.value);
  EXPECT_EQ(p[0].error, before.error);
}

}  // namespace
}  // namespace plumbline::harness
