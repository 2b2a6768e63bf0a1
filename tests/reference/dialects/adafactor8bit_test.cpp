// adafactor8bit has no float64 trace: the chains against straight-line evaluations, and what its two paths disagree on.
#include "reference/dialects/adafactor8bit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <span>
#include <string>

#include "reference/codecs/log_u8.h"
#include "reference/transforms/factored_moment.h"
#include "reference/transforms/precondition.h"

namespace plumbline::reference {
namespace {

constexpr int64_t kM = 5, kN = 3;
constexpr double kTiny = 0x1p-126;
constexpr Version kVersion{0, 3, 0};
const PeerContext kFloat32{.epsilon = 0x1p-23};

double mean_rms(const Matrix& x) { return std::sqrt(x.square().mean()); }
double growth_limit(double norm, double& previous, int t) {
  if (t == 1 || previous < 1e-6) return previous = norm, 1;
  const double l = std::max(norm / (previous + 1e-8), 1.01) / 1.01;
  return previous = norm / l, l;
}

struct Straight {
  Matrix p = Matrix::Zero(kM, kN), g = Matrix::Zero(kM, kN);
  Vector row = Vector::Zero(kM), col = Vector::Zero(kN), conf_row = Vector::Zero(kM), conf_col = Vector::Zero(kN);
  Matrix m = Matrix::Zero(kM, kN), v = Matrix::Zero(kM, kN);
  double previous = 0;

  // R, C <- averages of x^2 + eps with weight w; returns 1/sqrt(max(R, f) max(C, f)/max(mean R, floor))
  static Matrix factored(const Matrix& x, Vector& r, Vector& c, double w, double eps, double floor, double f) {
    r = (1 - w) * r + w * (x.square().rowwise().mean() + eps);
    c = (1 - w) * c + w * (x.square().colwise().mean().transpose() + eps);
    return ((r.max(f).matrix() * c.max(f).matrix().transpose()).array() / std::max(r.mean(), floor)).rsqrt();
  }
};

// Runs six steps of both over one random problem and returns the largest difference of parameters.
template <class Step>
double compare(Optimizer optimizer, Step straight, const std::function<void(Optimizer&)>& prepare = {}) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  Straight run;
  for (double& x : run.p.reshaped()) x = normal(random);
  Tensor p({kM, kN}), g({kM, kN});
  p.matrix(0) = run.p;
  if (prepare) prepare(optimizer);
  double worst = 0;
  for (int t = 1; t <= 6; ++t) {
    for (double& x : run.g.reshaped()) x = normal(random) * (t == 4 ? 30 : 1);
    g.matrix(0) = run.g;
    optimizer.step(p, g);
    straight(run, t);
    worst = std::max(worst, (p.matrix(0) - run.p).abs().maxCoeff());
  }
  return worst;
}

TEST(Adafactor8bitTest, Version01FollowsItsFormula) {
  const Adafactor8bitOptions o{.lr = 0.05, .weight_decay = 0.1, .relative_step = true};
  EXPECT_LE(
      compare(make_adafactor8bit({0, 1, 0}, o, {kM, kN}, {.epsilon = 0x1p-23}),
              [](Straight& run, int t) {
                const double rho = std::min(0.05, 1 / std::sqrt(t)), alpha = rho * std::max(1e-3, mean_rms(run.p));
                const Matrix inverse = Straight::factored(run.g, run.row, run.col, std::pow(t, -0.8), 1e-30, 0x1p-23, 0)
                                           .min(1 / std::sqrt(0x1p-23));
                const Matrix u = run.g * inverse;
                run.p = run.p * (1 - alpha * 0.1) - alpha / std::max(1.0, mean_rms(u)) * u;
              }),
      2e-15);
}

TEST(Adafactor8bitTest, MomentumIsOfTheGradientAndBiasIsCorrectedInTheDecayToo) {
  const Adafactor8bitOptions o{.lr = 0.05, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1, .relative_step = false};
  EXPECT_LE(compare(make_adafactor8bit(kVersion, o, {kM, kN}, kFloat32),
                    [](Straight& run, int t) {
                      const double alpha = 0.05 * std::max(1e-3, mean_rms(run.p)) * std::sqrt(1 - std::pow(0.99, t)) /
                                           (1 - std::pow(0.9, t));
                      run.m = 0.9 * run.m + 0.1 * run.g;
                      const Matrix u =
                          run.m * Straight::factored(run.g, run.row, run.col, 1 - 0.99, 1e-30, 1e-30, kTiny);
                      run.p = run.p * (1 - alpha * 0.1) - alpha / std::max(1.0, mean_rms(u)) * u;
                    }),
            2e-15);
}

TEST(Adafactor8bitTest, ConfidenceHasNoSecondClip) {
  const Adafactor8bitOptions o{.lr = 0.05, .beta1 = 0.9, .beta3 = 0.99, .scale_parameter = false};
  EXPECT_LE(compare(make_adafactor8bit(kVersion, o, {kM, kN}, kFloat32),
                    [](Straight& run, int t) {
                      Matrix u =
                          run.g * Straight::factored(run.g, run.row, run.col, std::pow(t, -0.8), 1e-30, 1e-30, kTiny);
                      u /= std::max(1.0, mean_rms(u));
                      run.m = 0.9 * run.m + 0.1 * u;
                      const Matrix update = run.m * Straight::factored(u - run.m, run.conf_row, run.conf_col, 1 - 0.99,
                                                                       1e-8, 1e-30, kTiny);
                      run.p -= std::min(0.05, 1 / std::sqrt(t)) * update;
                    }),
            2e-15);
}

TEST(Adafactor8bitTest, ClipLooksAtTheNormBeforeTheLimiter) {
  const Adafactor8bitOptions o{.lr = 0.05,
                               .weight_decay = 0.1,
                               .relative_step = false,
                               .factored = false,
                               .scale_weight_decay = false,
                               .enable_fira_for_adafactor = true};
  EXPECT_LE(compare(make_adafactor8bit(kVersion, o, {kM, kN}, kFloat32),
                    [](Straight& run, int t) {
                      const double alpha = 0.05 * std::max(1e-3, mean_rms(run.p)), w = std::pow(t, -0.8);
                      run.v = (1 - w) * run.v + w * run.g.square();
                      const Matrix u = run.g / run.v.max(kTiny).sqrt();
                      const double norm = std::sqrt(u.square().sum());
                      const double l = growth_limit(norm, run.previous, t);
                      run.p = run.p * (1 - 0.05 * 0.1) - alpha / std::max(1.0, mean_rms(u)) / l * u;
                    }),
            2e-15);
}

TEST(Adafactor8bitTest, ProjectedGradientIsLimitedAndClippedByItsUnlimitedNorm) {
  for (const bool front : {true, false})
    for (const bool factored : {true, false}) {
      const Adafactor8bitOptions o{.lr = 0.05,
                                   .beta1 = 0.9,
                                   .beta2 = 0.99,
                                   .relative_step = false,
                                   .scale_parameter = false,
                                   .apollo_rank = 2,
                                   .apollo_scale = 4,
                                   .apollo_scale_front = front,
                                   .apollo_factorize = factored};
      const Matrix projection = Matrix::Random(2, kN);
      Vector row = Vector::Zero(kM), col = Vector::Zero(2);
      Matrix m = Matrix::Zero(kM, 2), v = Matrix::Zero(kM, 2);
      EXPECT_LE(compare(
                    make_adafactor8bit(kVersion, o, {kM, kN}, kFloat32),
                    [&](Straight& run, int t) {
                      const Matrix low = (run.g.matrix() * projection.matrix().transpose()).array();
                      m = 0.9 * m + 0.1 * low;
                      Matrix normalised;
                      if (factored) {
                        normalised = m / (Straight::factored(low, row, col, 1 - 0.99, 0, 1e-6, 0).inverse() + 1e-6);
                      } else {
                        v = 0.99 * v + (1 - 0.99) * low.square();
                        normalised = m / (v.sqrt() + 1e-6);
                      }
                      const Vector s =
                          normalised.square().rowwise().sum().sqrt() / (low.square().rowwise().sum().sqrt() + 1e-8);
                      Matrix u = (front ? 2.0 : 1.0) * (run.g.colwise() * s);
                      const double norm = std::sqrt(u.square().sum()), clip = std::max(1.0, mean_rms(u));
                      const double l = growth_limit(norm, run.previous, t);
                      const double alpha = 0.05 * std::sqrt(1 - std::pow(0.99, t)) / (1 - std::pow(0.9, t));
                      run.p -= alpha * (front ? 1 : 2) / clip / l * u;
                    },
                    [&](Optimizer& optimizer) { optimizer.state(Slot::projection)->matrix(0) = projection; }),
                4e-15);
    }
}

// The program's CUDA path divides by the state that it has just quantized, and by at least 2^-53; its PyTorch path by
// the state before that. One step from zero, R and C in log_u8:
double disagreement(double size, double floor) {
  Tensor p({64, 64}), g({64, 64});
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (double& x : g.data) x = size * normal(random);
  FactoredMoment moment(p.shape, {0, 1}, {.schedule = {}, .eps1 = 1e-30});
  Step plain(1, p, g, nullptr), coded(1, p, g, nullptr);
  moment.apply(plain);
  Precondition divide, divide_floored({.floor = floor});
  divide.apply(plain);
  const Vector expected = plain.update().data;

  coded.moment = plain.moment;
  for (const Slot slot : {Slot::row, Slot::col}) {
    Vector& values = moment.state(slot)->data;
    const LogScale scale = LogU8::scale_of(std::span<const double>(values.data(), values.size())).stored();
    for (double& x : values) x = LogU8::decode(LogU8::encode(x, scale), scale);
  }
  const Vector mean = Vector::Constant(1, moment.state(Slot::row)->data.mean());
  coded.moment.normalizer = &mean;
  divide_floored.apply(coded);
  return std::sqrt((coded.update().data - expected).square().sum() / expected.square().sum());
}

TEST(Adafactor8bitTest, TwoPathsOfOneProgramDisagree) {
  const double ordinary = disagreement(1e-2, 0x1p-53), tiny = disagreement(1e-10, 0x1p-53);
  RecordProperty("ordinary", std::to_string(ordinary));
  RecordProperty("tiny", std::to_string(tiny));
  std::printf("update of the quantized path off by %.3f at |g| = 1e-2, by %.3f at 1e-10\n", ordinary, tiny);
  EXPECT_GT(ordinary, 0.01);
  EXPECT_GT(tiny, 0.9);
}

}  // namespace
}  // namespace plumbline::reference
