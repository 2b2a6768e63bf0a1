#include "reference/transforms/resolution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "reference/dialects/plumbline.h"

namespace plumbline::reference {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;

// A momentum of whole steps: `codes` q, whatever was averaged.
MomentumStore stored(const Tensor& codes, const Tensor& steps) {
  return [=](Tensor& momentum, Tensor& resolution) {
    momentum.data = codes.data * steps.data;
    resolution = steps;
  };
}

struct Case {
  PlumblineOptions options;
  Shape shape{12, 20};
  Tensor steps{shape}, codes{shape}, gradient{shape};
  std::mt19937 random{5};

  Case() {
    options.beta1 = kBeta1;
    options.beta2 = kBeta2;
    options.clip = 0;
    options.scale_parameter = false;
    for (int64_t i = 0; i < 12; ++i)
      for (int64_t j = 0; j < 20; ++j) {
        const int64_t at = i * 20 + j;
        steps.data[at] = std::ldexp(1.0, int(i % 5) + (j < 10 ? 0 : 3));  // two blocks a row
        codes.data[at] = j % 3 - 1;
        // columns far below what their block resolves, and others
        gradient.data[at] = std::ldexp(double(random()) / 0x1p32 - 0.5, j % 4 == 0 ? -40 : 6);
      }
  }
  StepRecord step() {
    Optimizer optimizer = make_plumbline(options, shape, stored(codes, steps));
    Tensor parameter(shape);
    StepRecord record;
    optimizer.step(parameter, gradient, &record);
    state_row = optimizer.state(Slot::row) ? optimizer.state(Slot::row)->data : Vector();
    state_full = optimizer.state(Slot::second_moment) ? optimizer.state(Slot::second_moment)->data : Vector();
    return record;
  }
  Vector state_row, state_full;
};

double bias() { return std::sqrt(1 - kBeta2) / (1 - kBeta1); }

TEST(Resolution, ACodeIsWorthAtMostOneOfAFullUpdate) {
  Case c;
  c.options.factored = false;
  const StepRecord r = c.step();
  EXPECT_NEAR(r.bias, bias(), 1e-12);
  EXPECT_LE((r.bias * r.update.data).abs().maxCoeff(), 1 + 1e-12);
  EXPECT_GT((r.bias * r.update.data).abs().maxCoeff(), 1 - 1e-12);  // and the bound is reached
  const Vector floor = (r.bias * c.steps.data).square();
  EXPECT_TRUE((r.second_moment_resolution.data - floor).abs().maxCoeff() <= 1e-12 * floor.maxCoeff());
  EXPECT_TRUE((c.state_full == r.second_moment.data).all());  // used, never stored
  EXPECT_LT(r.second_moment.data.minCoeff(), floor.minCoeff());
}

TEST(Resolution, ACodeIsWorthAtMostGammaOfAFactoredUpdateAndAColumnItsRoot) {
  Case c;
  const StepRecord r = c.step();
  const auto q = c.steps.matrix(0);
  const auto u = r.update.matrix(0);
  double reached = 0;
  for (int64_t j = 0; j < 20; ++j) {
    const double mean = q.col(j).square().mean();
    for (int64_t i = 0; i < 12; ++i) {
      const double gamma = std::sqrt(q(i, j) * q(i, j) / mean * r.row_mean[0] / r.row.data[i]);
      EXPECT_LE(std::abs(r.bias * u(i, j)), gamma * (1 + 1e-12)) << i << " " << j;
      reached = std::max(reached, std::abs(r.bias * u(i, j)) / gamma);
    }
  }
  EXPECT_GT(reached, 0.25);
  EXPECT_NEAR(r.row_mean[0], r.row.data.mean(), 1e-12 * r.row_mean[0]) << "the mean is that of R itself";
  EXPECT_TRUE((c.state_row == r.row.data).all());
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_NEAR(r.row_resolution.data[i], r.bias * r.bias * q.row(i).square().mean(), 1e-9 * r.row_resolution.data[i]);
}

TEST(Resolution, NothingIsRaisedWithoutSteps) {
  Case c;
  c.options.factored = false;
  Optimizer exact = make_plumbline(c.options, c.shape),
            again = make_plumbline(c.options, c.shape, [](Tensor&, Tensor&q) { q = {}; });
  StepRecord a, b;
  Tensor p(c.shape), other(c.shape);
  exact.step(p, c.gradient, &a);
  again.step(other, c.gradient, &b);
  EXPECT_TRUE((p.data == other.data).all());
  EXPECT_EQ(a.second_moment_resolution.size(), 0);
  EXPECT_EQ(b.second_moment_resolution.size(), 0);
}

// A block that decodes to NaN has no steps: the rest of its row and columns is divided by what it was.
TEST(Resolution, OfANanIsNone) {
  Case c;
  const Vector plain = c.step().update.data;
  c.steps.data[25] = std::numeric_limits<double>::quiet_NaN();
  const StepRecord r = c.step();
  EXPECT_TRUE(std::isnan(r.row_resolution.data[1]));
  EXPECT_TRUE(std::isnan(r.update.data[25]));
  EXPECT_TRUE(std::isfinite(r.update.data[24]));
  EXPECT_EQ(r.update.data[0], plain[0]);
}

TEST(Resolution, WithoutBiasCorrectionAStepIsAStep) {
  Case c;
  c.options.relative_step = true;
  c.options.factored = false;
  const StepRecord r = c.step();
  EXPECT_EQ(r.bias, 1);
  EXPECT_TRUE((r.second_moment_resolution.data == c.steps.data.square()).all());
}

TEST(Resolution, RaisesTheConfidenceOfAMomentumOfTheUpdate) {
  Case c;
  c.options.momentum_of = MomentumOf::update;
  c.options.beta3 = 0.99;
  const StepRecord r = c.step();
  EXPECT_EQ(r.row_resolution.size(), 0) << "the update divides the gradient";
  ASSERT_EQ(r.confidence_col_resolution.size(), 20);
  EXPECT_NEAR(r.confidence_col_resolution.data[3], r.bias * r.bias * c.steps.matrix(0).col(3).square().mean(), 1e-9);
}

TEST(Resolution, RaisesTheMomentsOfAProjection) {
  Case c;
  c.options.projection_rank = 4;
  c.steps = Tensor({4, 20});
  c.codes = Tensor({4, 20});
  c.steps.data = 2;
  c.codes.data = 1;
  StepRecord r = c.step();
  ASSERT_EQ(r.low_rank_second_moment_resolution.size(), 80);
  EXPECT_NEAR(r.low_rank_second_moment_resolution.data[7], 4 * r.bias * r.bias, 1e-12);
  EXPECT_LE((r.bias * r.normalised.data).abs().maxCoeff(), 1 + 1e-12);
  c.options.projection_factored = true;
  r = c.step();
  ASSERT_EQ(r.low_rank_row_resolution.size(), 4);
  EXPECT_NEAR(r.low_rank_row_resolution.data[2], 4 * r.bias * r.bias, 1e-12);
}

}  // namespace
}  // namespace plumbline::reference
