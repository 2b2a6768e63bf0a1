#include "reference/dialects/plumbline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace plumbline::reference {
namespace {

// The same rule in straight-line loops and long double.
struct StraightLine {
  PlumblineOptions o;
  Shape shape;
  bool factored;
  size_t slices = 1, m = 1, n = 1;
  std::vector<long double> row, col, full;

  StraightLine(const PlumblineOptions& options, Shape extents) : o(options), shape(std::move(extents)) {
    factored = o.factored && shape.size() >= 2;
    n = static_cast<size_t>(shape.back());
    if (shape.size() >= 2) m = static_cast<size_t>(shape[shape.size() - 2]);
    for (size_t a = 0; a + 2 < shape.size(); ++a) slices *= static_cast<size_t>(shape[a]);
    row.assign(slices * m, 0), col.assign(slices * n, 0), full.assign(slices * m * n, 0);
  }

  void step(int t, std::vector<long double>& p, const Tensor& gradient) {
    const size_t size = p.size();
    const auto count = static_cast<long double>(size);
    const long double w = o.beta2 ? 1 - static_cast<long double>(*o.beta2)
                                  : std::pow(static_cast<long double>(t), static_cast<long double>(o.beta2_decay));
    std::vector<long double> g(size), u(size);
    for (size_t k = 0; k < size; ++k)
      g[k] = (o.maximize ? -1 : 1) * static_cast<long double>(gradient.data[static_cast<int64_t>(k)]);
    for (size_t s = 0; s < slices; ++s) {
      if (!factored) break;
      long double mean = 0;
      for (size_t i = 0; i < m; ++i) {
        long double sum = 0;
        for (size_t j = 0; j < n; ++j) sum += g[(s * m + i) * n + j] * g[(s * m + i) * n + j] + o.eps1;
        row[s * m + i] = (1 - w) * row[s * m + i] + w * sum / static_cast<long double>(n);
        mean += row[s * m + i] / static_cast<long double>(m);
      }
      for (size_t j = 0; j < n; ++j) {
        long double sum = 0;
        for (size_t i = 0; i < m; ++i) sum += g[(s * m + i) * n + j] * g[(s * m + i) * n + j] + o.eps1;
        col[s * n + j] = (1 - w) * col[s * n + j] + w * sum / static_cast<long double>(m);
      }
      for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < n; ++j)
          u[(s * m + i) * n + j] = g[(s * m + i) * n + j] / std::sqrt(row[s * m + i] * col[s * n + j] / mean);
    }
    if (!factored)
      for (size_t k = 0; k < size; ++k) {
        full[k] = (1 - w) * full[k] + w * (g[k] * g[k] + o.eps1);
        u[k] = g[k] / std::sqrt(full[k]);
      }
    long double uu = 0, pp = 0;
    for (size_t k = 0; k < size; ++k) uu += u[k] * u[k], pp += p[k] * p[k];
    const long double clip = o.clip > 0 ? std::max(1.0L, std::sqrt(uu / count) / o.clip) : 1.0L;
    const long double rho =
        o.relative_step ? std::min(static_cast<long double>(o.lr), 1 / std::sqrt(static_cast<long double>(t))) : o.lr;
    const long double alpha =
        o.scale_parameter ? rho * std::max(static_cast<long double>(o.eps2), std::sqrt(pp / count)) : rho;
    const long double k_decay = o.weight_decay_by == DecayScale::lr ? o.lr : alpha;
    for (size_t k = 0; k < size; ++k) p[k] = p[k] * (1 - o.weight_decay * k_decay) - alpha * u[k] / clip;
  }
};

class PlumblineTest : public testing::TestWithParam<const char*> {};

TEST_P(PlumblineTest, AgreesWithStraightLineLoopsOverStepsAndShapes) {
  PlumblineOptions options;
  std::string text = GetParam();
  for (size_t at = 0; at < text.size();) {
    const size_t equals = text.find('=', at), end = std::min(text.find(' ', at), text.size());
    set_option(options, text.substr(at, equals - at), text.substr(equals + 1, end - equals - 1));
    at = end + 1;
  }
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  for (const Shape& shape :
       {Shape{5, 3}, Shape{1, 6}, Shape{6, 1}, Shape{7}, Shape{1}, Shape{2, 4, 3}, Shape{3, 2, 5, 4}, Shape{37, 129}}) {
    Optimizer optimizer = make_plumbline(options, shape);
    StraightLine straight(options, shape);
    Tensor p(shape), g(shape);
    for (double& x : p.data) x = normal(random);
    std::vector<long double> q(p.data.begin(), p.data.end());
    StepRecord record;
    for (int t = 1; t <= 6; ++t) {
      for (double& x : g.data) x = 0.1 * normal(random) * (t == 4 ? 100 : 1);
      optimizer.step(p, g, t % 2 ? &record : nullptr);
      straight.step(t, q, g);
      for (int64_t k = 0; k < p.size(); ++k)
        ASSERT_NEAR(p.data[k], static_cast<double>(q[static_cast<size_t>(k)]), 2e-15 * (1 + std::abs(p.data[k])))
            << "step " << t << " element " << k;
    }
    EXPECT_EQ(optimizer.step_count(), 6);
    if (!straight.factored) continue;
    for (size_t k = 0; k < straight.row.size(); ++k)
      EXPECT_NEAR(optimizer.state(Slot::row)->data[static_cast<int64_t>(k)] / static_cast<double>(straight.row[k]), 1,
                  2e-15);
    for (size_t k = 0; k < straight.col.size(); ++k)
      EXPECT_NEAR(optimizer.state(Slot::col)->data[static_cast<int64_t>(k)] / static_cast<double>(straight.col[k]), 1,
                  2e-15);
  }
}

INSTANTIATE_TEST_SUITE_P(Options, PlumblineTest,
                         testing::Values("lr=0.01", "relative_step=true lr=0.5", "scale_parameter=false", "beta2=0.95",
                                         "beta2_decay=-0.5 eps1=0.001", "clip=0", "clip=0.3", "eps2=3",
                                         "factored=false", "weight_decay=0.1", "weight_decay=0.1 weight_decay_by=lr",
                                         "maximize=true weight_decay=0.3 eps1=1e-08 clip=2.5"));

TEST(PlumblineTest, OneElementByHand) {
  // t = 1: w = 1, V = g^2 = 4, u = 2/2 = 1, clip 1, alpha = 0.5 * max(1e-3, 3) = 1.5, keep = 1 - 0.1 * 1.5
  PlumblineOptions options;
  options.lr = 0.5, options.eps1 = 0, options.weight_decay = 0.1;
  Optimizer optimizer = make_plumbline(options, {1});
  Tensor p({1}), g({1});
  p.data << -3;
  g.data << 2;
  StepRecord record;
  optimizer.step(p, g, &record);
  EXPECT_EQ(record.second_moment.data[0], 4);
  EXPECT_EQ(record.update.data[0], 1);
  EXPECT_EQ(record.parameter_rms, 3);
  EXPECT_EQ(record.step_size, 1.5);
  EXPECT_EQ(record.keep, 1 - 0.1 * 1.5);
  EXPECT_EQ(p.data[0], -3 * (1 - 0.1 * 1.5) - 1.5);
}

TEST(PlumblineTest, RecordHoldsTheIntermediatesOfOneStep) {
  PlumblineOptions options;
  options.clip = 0.25, options.relative_step = true, options.eps1 = 0;
  Optimizer optimizer = make_plumbline(options, {2, 2, 1});
  Tensor p({2, 2, 1}), g({2, 2, 1});
  p.data << 1, 7, 1, 7;
  g.data << 1, 2, 3, 4;
  StepRecord record;
  optimizer.set_step_count(15);
  optimizer.step(p, g, &record);
  EXPECT_EQ(record.step, 16);
  EXPECT_EQ(optimizer.step_count(), 16);
  EXPECT_DOUBLE_EQ(record.weight, std::pow(16, -0.8));
  EXPECT_DOUBLE_EQ(record.old_weight, 1 - std::pow(16, -0.8));
  EXPECT_EQ(record.parameter_rms, 5);
  EXPECT_EQ(record.rho, 0.01);
  EXPECT_EQ(record.step_size, 0.05);
  EXPECT_EQ(record.row.shape, (Shape{2, 2}));
  EXPECT_EQ(record.col.shape, (Shape{2, 1}));
  EXPECT_DOUBLE_EQ(record.row_mean[1], record.weight * 12.5);
  EXPECT_TRUE((record.gradient.data == g.data).all());
  EXPECT_DOUBLE_EQ(record.update_rms, rms(record.update));
  EXPECT_DOUBLE_EQ(record.clip, record.update_rms / 0.25);
  EXPECT_EQ(record.second_moment.size(), 0);
}

TEST(PlumblineTest, RecordTakenFromAnotherChainHoldsNothingOfIt) {
  StepRecord record;
  PlumblineOptions options;
  options.clip = 0, options.scale_parameter = false;
  Tensor p({2, 2}), g({2, 2}), q({3}), h({3});
  make_plumbline({}, {2, 2}).step(p, g, &record);
  make_plumbline(options, {3}).step(q, h, &record);
  EXPECT_EQ(record.row.size() + record.col.size() + record.row_mean.size(), 0);
  EXPECT_EQ(record.second_moment.size(), 3);
  EXPECT_TRUE(std::isnan(record.update_rms));
  EXPECT_TRUE(std::isnan(record.parameter_rms));
  EXPECT_EQ(record.clip, 1);
}

TEST(PlumblineTest, RecordCanLeaveTheGradientOut) {
  for (const Shape& shape : {Shape{2, 2}, Shape{3}}) {
    StepRecord record;
    record.keep_gradient = false;
    Tensor p(shape), g(shape);
    g.data.setOnes();
    make_plumbline({}, shape).step(p, g, &record);
    EXPECT_EQ(record.gradient.size(), 0);
    EXPECT_EQ(record.update.size(), p.size());
    EXPECT_FALSE(record.keep_gradient);
  }
}

TEST(PlumblineTest, RecordingDoesNotChangeABit) {
  Tensor p({9, 5}), g({9, 5});
  g.data.setRandom();
  p.data.setRandom();
  Tensor q = p;
  StepRecord record;
  Optimizer with = make_plumbline({}, p.shape), without = make_plumbline({}, p.shape);
  for (int t = 0; t < 3; ++t) with.step(p, g, &record), without.step(q, g);
  EXPECT_TRUE((p.data == q.data).all());
}

TEST(PlumblineTest, Eps1InsideTheAverageKeepsAZeroGradientFinite) {
  for (const Shape& shape : {Shape{4, 3}, Shape{5}, Shape{2, 1, 3}})
    for (const double eps1 : {1e-30, 1e-200, 5e-324, 1.0}) {
      PlumblineOptions options;
      options.eps1 = eps1;
      Optimizer optimizer = make_plumbline(options, shape);
      Tensor p(shape);
      const Tensor g(shape);
      p.data.setOnes();
      for (int t = 0; t < 3; ++t) optimizer.step(p, g);
      EXPECT_TRUE((p.data == 1).all()) << eps1;
    }
}

TEST(PlumblineTest, SlicesOfABatchAreIndependentMatrices) {
  PlumblineOptions options;
  options.clip = 0, options.scale_parameter = false;
  Tensor p({3, 4, 5}), g({3, 4, 5});
  p.data.setRandom();
  g.data.setRandom();
  std::vector<Tensor> parts;
  for (int64_t s = 0; s < 3; ++s) {
    Tensor q({4, 5}), h({4, 5});
    q.matrix(0) = p.matrix(s), h.matrix(0) = g.matrix(s);
    make_plumbline(options, q.shape).step(q, h);
    parts.push_back(q);
  }
  make_plumbline(options, p.shape).step(p, g);
  for (int64_t s = 0; s < 3; ++s) EXPECT_TRUE((p.matrix(s) == parts[static_cast<size_t>(s)].matrix(0)).all());
}

TEST(PlumblineTest, StateCanBeOverwritten) {
  Optimizer optimizer = make_plumbline({}, {2, 3});
  ASSERT_NE(optimizer.state(Slot::row), nullptr);
  EXPECT_EQ(optimizer.state(Slot::row)->shape, (Shape{1, 2}));
  EXPECT_EQ(optimizer.state(Slot::col)->shape, (Shape{1, 3}));
  EXPECT_EQ(optimizer.state(Slot::second_moment), nullptr);
  Tensor p({2, 3}), g({2, 3});
  g.data.setOnes();
  optimizer.set_step_count(1);
  optimizer.state(Slot::row)->data.setConstant(5);
  StepRecord record;
  optimizer.step(p, g, &record);
  EXPECT_DOUBLE_EQ(record.row.data[0], record.old_weight * 5 + record.weight);
  EXPECT_DOUBLE_EQ(record.col.data[0], record.weight);
}

TEST(PlumblineTest, WrongShapesAreErrors) {
  Optimizer optimizer = make_plumbline({}, {2, 3});
  Tensor p({2, 3}), q({3, 2});
  EXPECT_THROW(optimizer.step(p, q), std::invalid_argument);
  EXPECT_THROW(optimizer.step(q, p), std::invalid_argument);
  EXPECT_THROW(make_plumbline({}, {2, 0}), std::invalid_argument);
  EXPECT_THROW(make_plumbline({}, {0}), std::invalid_argument);
}

}  // namespace
}  // namespace plumbline::reference
