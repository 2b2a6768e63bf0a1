#include "reference/dialects/plumbline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "reference/projections/sources.h"

namespace plumbline::reference {
namespace {

using Real = long double;

// The same rule in straight-line loops and long double.
struct StraightLine {
  PlumblineOptions o;
  Shape shape;
  Path path;
  size_t slices = 1, m = 1, n = 1;
  std::vector<Real> row, col, full, momentum, confidence_row, confidence_col;
  std::vector<Real> low_momentum, low_full, low_row, low_col;
  Real previous_norm = 0;

  StraightLine(const PlumblineOptions& options, Shape extents) : o(options), shape(std::move(extents)) {
    path = path_of(o, shape);
    n = static_cast<size_t>(shape.back());
    if (shape.size() >= 2) m = static_cast<size_t>(shape[shape.size() - 2]);
    for (size_t a = 0; a + 2 < shape.size(); ++a) slices *= static_cast<size_t>(shape[a]);
    if (path == Path::projected) n = slices * m * n / static_cast<size_t>(shape[0]), m = size_t(shape[0]), slices = 1;
    row.assign(slices * m, 0), col.assign(slices * n, 0), full.assign(slices * m * n, 0);
    momentum = full, confidence_row = row, confidence_col = col;
    const auto rank = static_cast<size_t>(o.projection_rank);
    low_full.assign(rank * std::max(m, n), 0), low_momentum = low_full;
    low_row.assign(m >= n ? m : rank, 0), low_col.assign(m >= n ? rank : n, 0);
  }

  // Averages over rows and columns of one slice of the squares of x.
  void average(const Real* x, size_t rows, size_t cols, Real old, Real w, Real eps, Real* r, Real* c) const {
    for (size_t i = 0; i < rows; ++i) {
      Real sum = 0;
      for (size_t j = 0; j < cols; ++j) sum += x[i * cols + j] * x[i * cols + j] + eps;
      r[i] = old * r[i] + w * sum / Real(cols);
    }
    for (size_t j = 0; j < cols; ++j) {
      Real sum = 0;
      for (size_t i = 0; i < rows; ++i) sum += x[i * cols + j] * x[i * cols + j] + eps;
      c[j] = old * c[j] + w * sum / Real(rows);
    }
  }
  static Real mean(const Real* x, size_t count) {
    Real sum = 0;
    for (size_t i = 0; i < count; ++i) sum += x[i] / Real(count);
    return sum;
  }
  void add_momentum(std::vector<Real>& old, std::vector<Real>& x) const {
    for (size_t k = 0; k < x.size(); ++k) x[k] = old[k] = *o.beta1 * old[k] + (1 - Real(*o.beta1)) * x[k];
  }

  // s (.) g
  std::vector<Real> projected(int t, const std::vector<Real>& g, Real old, Real w) {
    const bool right = m >= n;
    const size_t rank = size_t(o.projection_rank), channels = right ? m : n, along = right ? n : m;
    Matrix p(right ? rank : along, right ? along : rank);
    popcount_projection(uint32_t(o.projection_seed), 0)(ConstMatrixMap(nullptr, int64_t(m), int64_t(n)),
                                                        (t - 1) / o.projection_refresh,
                                                        MatrixMap(p.data(), p.rows(), p.cols()));
    std::vector<Real> low(channels * rank), x, normalised(channels * rank), u(g.size());
    const auto at = [&](size_t channel, size_t k) { return right ? channel * rank + k : k * channels + channel; };
    for (size_t c = 0; c < channels; ++c)
      for (size_t k = 0; k < rank; ++k)
        for (size_t j = 0; j < along; ++j)
          low[at(c, k)] += (right ? g[c * n + j] : g[j * n + c]) *
                           Real(right ? p(int64_t(k), int64_t(j)) : p(int64_t(j), int64_t(k)));
    x = low;
    if (o.beta1) add_momentum(low_momentum, x);
    const size_t rows = right ? m : rank, cols = right ? rank : n;
    if (o.projection_factored) average(low.data(), rows, cols, old, w, o.eps1, low_row.data(), low_col.data());
    for (size_t k = 0; k < low.size(); ++k) {
      low_full[k] = old * low_full[k] + w * (low[k] * low[k] + o.eps1);
      const Real v =
          o.projection_factored ? low_row[k / cols] * low_col[k % cols] / mean(low_row.data(), rows) : low_full[k];
      normalised[k] = x[k] / (std::sqrt(v) + o.projection_eps);
    }
    const auto norms = [&](const std::vector<Real>& v, size_t first, size_t last) {
      Real sum = 0;
      for (size_t c = first; c < last; ++c)
        for (size_t k = 0; k < rank; ++k) sum += v[at(c, k)] * v[at(c, k)];
      return std::sqrt(sum);
    };
    for (size_t k = 0; k < g.size(); ++k) {
      const size_t c = right ? k / n : k % n;
      const bool whole = o.projection_scale_by == ScaleType::tensor;
      const size_t first = whole ? 0 : c, last = whole ? channels : c + 1;
      u[k] = g[k] * norms(normalised, first, last) / (norms(low, first, last) + 1e-8L);
    }
    return u;
  }

  void step(int t, std::vector<Real>& p, const Tensor& gradient) {
    const size_t size = p.size();
    const auto count = static_cast<Real>(size);
    const Real w = o.beta2 ? 1 - Real(*o.beta2) : std::pow(Real(t), Real(o.beta2_decay)), old = 1 - w;
    std::vector<Real> g(gradient.data.begin(), gradient.data.end()), u;
    if (path == Path::projected) {
      u = projected(t, g, old, w);
    } else {
      u = g;
      if (o.beta1 && o.momentum_of == MomentumOf::gradient) add_momentum(momentum, u);
    }
    if (path == Path::factored)
      for (size_t s = 0; s < slices; ++s) {
        average(&g[s * m * n], m, n, old, w, o.eps1, &row[s * m], &col[s * n]);
        for (size_t k = 0; k < m * n; ++k)
          u[s * m * n + k] /= std::sqrt(row[s * m + k / n] * col[s * n + k % n] / mean(&row[s * m], m));
      }
    if (path == Path::full)
      for (size_t k = 0; k < size; ++k) {
        full[k] = old * full[k] + w * (g[k] * g[k] + o.eps1);
        u[k] /= std::sqrt(full[k]);
      }
    const auto scale = [&](Real factor) {
      for (Real& x : u) x *= factor;
    };
    const auto norm = [](const std::vector<Real>& x) {
      Real sum = 0;
      for (const Real v : x) sum += v * v;
      return std::sqrt(sum);
    };
    const Real back = path == Path::projected ? std::sqrt(Real(o.projection_scale)) : 1;
    if (o.projection_scale_first) scale(back);
    if (o.clip > 0) scale(1 / std::max(1.0L, norm(u) / std::sqrt(count) / o.clip));
    if (o.momentum_of == MomentumOf::update) {
      std::vector<Real> residual = u;
      add_momentum(momentum, u);
      if (o.beta3 && path == Path::factored)
        for (size_t s = 0; s < slices; ++s) {
          for (size_t k = s * m * n; k < (s + 1) * m * n; ++k) residual[k] -= u[k];
          average(&residual[s * m * n], m, n, *o.beta3, 1 - Real(*o.beta3), o.eps_came, &confidence_row[s * m],
                  &confidence_col[s * n]);
          for (size_t k = 0; k < m * n; ++k)
            u[s * m * n + k] /= std::sqrt(confidence_row[s * m + k / n] * confidence_col[s * n + k % n] /
                                          mean(&confidence_row[s * m], m));
        }
    }
    if (o.limiter_margin) {
      const Real nu = norm(u), most = 1 + Real(*o.limiter_margin);
      const Real limiter = previous_norm > 0 ? std::max(nu / (previous_norm + 1e-8L), most) / most : 1;
      scale(1 / limiter);
      previous_norm = nu / limiter;
    }
    if (!o.projection_scale_first) scale(back);
    const Real rho = o.relative_step ? std::min(Real(o.lr), 1 / std::sqrt(Real(t))) : o.lr;
    const Real alpha = o.scale_parameter ? rho * std::max(Real(o.eps2), norm(p) / std::sqrt(count)) : rho;
    const Real k_decay = o.weight_decay_by == DecayScale::lr ? o.lr : alpha;
    if (o.beta1 && !o.relative_step)
      scale(std::sqrt(o.beta2 ? 1 - std::pow(Real(*o.beta2), Real(t)) : 1) / (1 - std::pow(Real(*o.beta1), Real(t))));
    for (size_t k = 0; k < size; ++k)
      p[k] = p[k] * (1 - o.weight_decay * k_decay) - (o.maximize ? -1 : 1) * alpha * u[k];
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
    if (straight.path != Path::factored) continue;
    for (size_t k = 0; k < straight.row.size(); ++k)
      EXPECT_NEAR(optimizer.state(Slot::row)->data[static_cast<int64_t>(k)] / static_cast<double>(straight.row[k]), 1,
                  2e-15);
    for (size_t k = 0; k < straight.col.size(); ++k)
      EXPECT_NEAR(optimizer.state(Slot::col)->data[static_cast<int64_t>(k)] / static_cast<double>(straight.col[k]), 1,
                  2e-15);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, PlumblineTest,
    testing::Values("lr=0.01", "relative_step=true lr=0.5", "scale_parameter=false", "beta2=0.95",
                    "beta2_decay=-0.5 eps1=0.001", "clip=0", "clip=0.3", "eps2=3", "factored=false", "weight_decay=0.1",
                    "weight_decay=0.1 weight_decay_by=lr", "maximize=true weight_decay=0.3 eps1=1e-08 clip=2.5",
                    "beta1=0.9", "beta1=0.9 beta2=0.99 maximize=true clip=0.3",
                    "beta1=0.8 factored=false relative_step=true lr=0.5",
                    "beta1=0.9 momentum_of=update clip=0.3 limiter_margin=0.01",
                    "beta1=0.9 momentum_of=update factored=false maximize=true clip=0.3",
                    "beta1=0.9 momentum_of=update beta3=0.99 eps_came=0.01 clip=0.5",
                    "beta1=0.5 momentum_of=update beta3=0.9 limiter_margin=0.1", "limiter_margin=0.01",
                    "limiter_margin=0.5 clip=0 factored=false",
                    "projection_rank=2 projection_refresh=2 projection_seed=5",
                    "projection_rank=3 beta1=0.9 beta2=0.99 limiter_margin=0.01 projection_scale=4",
                    "projection_rank=1 projection_scale_by=tensor projection_factored=true clip=0.3",
                    "projection_rank=2 projection_scale=9 projection_scale_first=false clip=0.4 "
                    "projection_eps=0.1 maximize=true projection_factored=true limiter_margin=0"));

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
