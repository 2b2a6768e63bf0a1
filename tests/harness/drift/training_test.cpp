#include "harness/drift/training.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "harness/drift/digits.h"
#include "harness/error.h"

namespace plumbline::harness {
namespace {

using reference::Tensor;

class Trainings : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, Trainings, testing::ValuesIn(training_names()),
                         [](const auto& one) { return one.param; });

TEST_P(Trainings, GradientsOverManySamplesAverageToTheSlopeOfTheLoss) {
  const auto training = make_training(GetParam(), 3);
  const auto p = training->initial();
  std::vector<Tensor> direction = p;
  std::mt19937 engine(17);
  std::normal_distribution<double> normal;
  for (Tensor& d : direction)
    for (double& v : d.data) v = normal(engine);
  constexpr int kSamples = 1000;
  constexpr double kStep = 1e-4;
  for (size_t k = 0; k < p.size(); ++k) {
    double sum = 0, squares = 0;
    std::vector<Tensor> g;
    for (int t = 1; t <= kSamples; ++t) {
      training->gradients(t, p, g);
      const double slope = (g[k].data * direction[k].data).sum();
      sum += slope;
      squares += slope * slope;
    }
    const double mean = sum / kSamples, error = std::sqrt((squares / kSamples - mean * mean) / kSamples);
    auto up = p, down = p;
    up[k].data += kStep * direction[k].data;
    down[k].data -= kStep * direction[k].data;
    const double slope = (training->loss(up) - training->loss(down)) / (2 * kStep);
    EXPECT_NEAR(slope, mean, 5 * error + 1e-6) << k;  // five standard errors; 1e-6: third differences
    EXPECT_GT(std::fabs(slope), 10 * 1e-6) << k;
  }
}

TEST_P(Trainings, AStepDependsOnSeedAndNumberAlone) {
  const auto a = make_training(GetParam(), 5), b = make_training(GetParam(), 5), c = make_training(GetParam(), 6);
  std::vector<Tensor> first, again, other, next;
  a->gradients(4, a->initial(), first);
  b->gradients(4, b->initial(), again);
  b->gradients(5, b->initial(), next);
  c->gradients(4, c->initial(), other);
  for (size_t k = 0; k < first.size(); ++k) {
    EXPECT_TRUE((first[k].data == again[k].data).all());
    EXPECT_FALSE((first[k].data == next[k].data).all());
    EXPECT_FALSE((first[k].data == other[k].data).all());
  }
}

TEST(Training, TheQuadraticHasTheSpectrumThatItStates) {
  const auto training = make_training("quadratic", 1);
  const auto p = training->initial();
  std::mt19937 engine(23);
  std::normal_distribution<double> normal;
  // v' H v / v' v, from second differences: between the smallest and the largest eigenvalue, and on average their mean
  constexpr int kDirections = 400;
  double sum = 0, squares = 0;
  for (int k = 0; k < kDirections; ++k) {
    auto up = p, down = p;
    Tensor v = p[0];
    for (double& x : v.data) x = normal(engine);
    up[0].data += v.data;
    down[0].data -= v.data;
    const double quotient = (training->loss(up) + training->loss(down) - 2 * training->loss(p)) / v.data.square().sum();
    EXPECT_GE(quotient, 1e-4);
    EXPECT_LE(quotient, 1);
    sum += quotient;
    squares += quotient * quotient;
  }
  const auto mean_power = [](int n) {
    double total = 0;
    for (int i = 0; i < n; ++i) total += std::pow(10.0, -2.0 * i / (n - 1));
    return total / n;
  };
  const double mean = sum / kDirections, error = std::sqrt((squares / kDirections - mean * mean) / kDirections);
  EXPECT_NEAR(mean, mean_power(32) * mean_power(24), 5 * error);
}

TEST(Digits, AFileOfAnotherSizeOrWithOtherPixelsIsNamed) {
  EXPECT_EQ(shared_digits().images.rows(), 1797);
  EXPECT_DOUBLE_EQ(shared_digits().images.maxCoeff(), 1);
  const auto path = std::filesystem::temp_directory_path() / "plumbline-digits-test.u8";
  std::ofstream(path, std::ios::binary) << std::string(100, '\0');
  EXPECT_THROW(read_digits(path), InputError);
  std::ofstream(path, std::ios::binary) << std::string(size_t(1797) * 65, '\x11');
  EXPECT_THROW(read_digits(path), InputError);
  std::filesystem::remove(path);
  EXPECT_THROW(read_digits(path), InputError);
  EXPECT_THROW(make_training("nothing", 1), InputError);
}

}  // namespace
}  // namespace plumbline::harness
