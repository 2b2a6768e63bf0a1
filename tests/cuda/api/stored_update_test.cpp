// What storing does to what has no gradient, or seldom one: through the interface, over thousands of steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/cuda/api/training.h"

namespace plumbline {
namespace {

using Shape = std::vector<int64_t>;

// One float32 matrix whose gradient is scale(row, column, step) times one of a few random ones.
class Layer {
 public:
  using Scale = std::function<float(int64_t row, int64_t col, int t)>;
  Layer(Shape shape, GroupOptions options, Scale scale)
      : rows_(shape[0]),
        cols_(shape[1]),
        scale_(std::move(scale)),
        parameter_(size_t(rows_ * cols_)),
        gradient_(parameter_.size()),
        optimizer_({{"w", shape}}, {options}, {}) {
    std::mt19937_64 random(7);
    std::normal_distribution<float> normal;
    for (float& p : parameter_) p = 0.1f * normal(random);
    for (auto& one : patterns_) {
      one.resize(parameter_.size());
      for (float& g : one) g = 0.01f * normal(random);
    }
  }
  void step() {
    ++t_;
    const std::vector<float>& pattern = patterns_[size_t(uint32_t(t_) * 2654435761u >> 28)];
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < cols_; ++j)
        gradient_[size_t(i * cols_ + j)] = scale_(i, j, t_) * pattern[size_t(i * cols_ + j)];
    const TensorPointers at = {parameter_.data(), gradient_.data()};
    optimizer_.step({&at, 1});
  }
  const std::vector<float>& parameter() const { return parameter_; }
  float at(int64_t i, int64_t j) const { return parameter_[size_t(i * cols_ + j)]; }
  const Optimizer& optimizer() const { return optimizer_; }

 private:
  int64_t rows_, cols_;
  int t_ = 0;
  Scale scale_;
  std::vector<float> parameter_, gradient_;
  std::vector<float> patterns_[16];
  Optimizer optimizer_;
};

GroupOptions adam_like(const OptionList& more) {
  OptionList all = {{"beta1", "0.9"}, {"beta2", "0.999"}, {"scale_parameter", "false"}, {"lr", "0.01"}};
  all.insert(all.end(), more.begin(), more.end());
  return options_of(all);
}

constexpr int64_t kRows = 64, kCols = 256, kDead = 5;
float dead_lines(int64_t i, int64_t j, int) { return i == kDead || j == kDead ? 0.0f : 1.0f; }

// Dead lines keep every bit; the others move by about lr a step, as if there were no dead ones.
void expect_dead_lines_still(const GroupOptions& options, int steps, const std::string& what) {
  Layer run({kRows, kCols}, options, dead_lines);
  const std::vector<float> start = run.parameter();
  for (int t = 1; t < steps; ++t) run.step();
  const std::vector<float> before = run.parameter();
  run.step();
  double squares = 0;
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t j = 0; j < kCols; ++j) {
      const auto at = size_t(i * kCols + j);
      if (i == kDead || j == kDead)
        ASSERT_EQ(run.parameter()[at], start[at]) << what << " " << i << " " << j;
      else
        squares += std::pow(double(run.parameter()[at]) - before[at], 2);
    }
  const double moved = std::sqrt(squares / double(kRows * kCols)) / options.lr;
  EXPECT_GT(moved, 0.1) << what;
  EXPECT_LE(moved, 1 + 1e-3) << what;  // RMS(u) is clipped at 1, and bias-corrected to less than that
}

TEST(StoredUpdate, DeadLinesStayForTenThousandSteps) {
  for (const char* storage : {"uf8", "uf4"})
    expect_dead_lines_still(adam_like({{"momentum_storage", storage}}), 10000, storage);
}

TEST(StoredUpdate, DeadLinesStayInEveryStorage) {
  for (const char* momentum : {"fp32", "bf16", "uf8", "uf4"})
    for (const char* moments : {"fp32", "al8", "log_u8", "linear_u8", "al16"})
      for (const char* factored : {"true", "false"})
        expect_dead_lines_still(
            adam_like({{"momentum_storage", momentum}, {"storage", moments}, {"factored", factored}}), 150,
            std::string(momentum) + " " + moments + " " + factored);
}

TEST(StoredUpdate, DeadLinesStayUnderConfidenceAndMomentumOfTheUpdate) {
  for (const char* momentum : {"bf16", "uf8", "uf4"})
    for (const char* beta3 : {"none", "0.999"}) {
      Layer run({kRows, kCols},
                adam_like({{"momentum_storage", momentum}, {"momentum_of", "update"}, {"beta3", beta3}}), dead_lines);
      const std::vector<float> start = run.parameter();
      for (int t = 0; t < 150; ++t) run.step();
      for (int64_t i = 0; i < kRows; ++i)
        ASSERT_EQ(run.at(i, kDead), start[size_t(i * kCols + kDead)]) << momentum << " " << beta3;
    }
}

// A column that had gradients and then none: its codes reach zero, with a probability of 126 0.9^400 64 that any does
// not.
TEST(StoredUpdate, WhatNoLongerHasGradientsStops) {
  for (const char* storage : {"uf8", "uf4"}) {
    const auto scale = [](int64_t, int64_t j, int t) { return j == kDead && t > 200 ? 0.0f : 1.0f; };
    Layer run({kRows, kCols}, adam_like({{"momentum_storage", storage}}), scale);
    for (int t = 1; t <= 200; ++t) run.step();
    const std::vector<float> died = run.parameter();
    for (int t = 201; t <= 600; ++t) run.step();
    const std::vector<float> quiet = run.parameter();
    for (int t = 601; t <= 1200; ++t) run.step();
    for (int64_t i = 0; i < kRows; ++i) {
      const auto at = size_t(i * kCols + kDead);
      ASSERT_EQ(run.parameter()[at], quiet[at]) << storage;
      // what its last momentum is worth, ten steps or so, and a walk of codes worth at most a step each
      EXPECT_LE(std::abs(quiet[at] - died[at]), 0.01 * 60) << storage;
    }
  }
}

// A column far below the others, which its block's codes cannot tell from zero: no update is longer than
// promised.
TEST(StoredUpdate, ASmallColumnMovesNoFurtherThanACodeIsWorth) {
  for (const char* storage : {"uf8", "uf4"})
    for (const int below : {-20, -40, -60}) {
      const auto scale = [below](int64_t, int64_t j, int) { return j == kDead ? std::ldexp(1.0f, below) : 1.0f; };
      const GroupOptions options = adam_like({{"momentum_storage", storage}, {"clip", "0"}});
      Layer run({kRows, kCols}, options, scale);
      double worst = 0;
      for (int t = 1; t <= 300; ++t) {
        const std::vector<float> before = run.parameter();
        run.step();
        for (int64_t i = 0; i < kRows; ++i)
          worst = std::max(worst, std::abs(double(run.at(i, kDead)) - before[size_t(i * kCols + kDead)]) / options.lr);
      }
      // every row alike: gamma is about 1, and a code that is carried over a fall of its scale is worth a little more
      EXPECT_LE(worst, 2.5) << storage << " " << below;
    }
}

// Embeddings: row i is seen in one step of 2^(i/16) or so. Beside float32 momentum, stored momentum may walk by half a
// gamma a step while its row's codes live, and shorten what its block does not resolve.
TEST(StoredUpdate, RareRowsStayWithinThePromiseForTenThousandSteps) {
  constexpr int64_t kTokens = 160, kWidth = 64;
  constexpr int kSteps = 10000;
  const auto seen = [](int64_t i, int64_t, int t) {
    const uint32_t hash = (uint32_t(t) * 2654435761u ^ uint32_t(i) * 2246822519u) * 3266489917u;
    return i < 16 || hash >> (32 - i / 16) == 0 ? 1.0f : 0.0f;
  };
  for (const char* storage : {"uf8", "uf4"}) {
    const double levels = std::string(storage) == "uf8" ? 126 : 6;
    const GroupOptions options = adam_like({{"momentum_storage", storage}, {"storage", "fp32"}, {"clip", "0"}});
    Layer stored({kTokens, kWidth}, options, seen);
    Layer exact({kTokens, kWidth}, adam_like({{"momentum_storage", "fp32"}, {"storage", "fp32"}, {"clip", "0"}}), seen);
    std::vector<double> walk(size_t(kTokens), 0.0), length(size_t(kTokens * kWidth), 0.0);
    for (int t = 1; t <= kSteps; ++t) {
      const std::vector<float> before = exact.parameter();
      stored.step();
      exact.step();
      // one block a row: gamma_i^2 = q_i^2/mean q^2 mean R/R_i
      const std::vector<float> scales = stored.optimizer().export_raw(0, "momentum").scales;
      const std::vector<float> row = stored.optimizer().export_decoded(0, "row");
      double mean = 0, mean_row = 0;
      for (int64_t i = 0; i < kTokens; ++i) {
        mean += std::pow(scales[size_t(i)] / levels, 2) / kTokens;
        mean_row += row[size_t(i)] / kTokens;
      }
      for (int64_t i = 0; i < kTokens; ++i)
        if (scales[size_t(i)] > 0x1p-99f)
          walk[size_t(i)] += std::pow(scales[size_t(i)] / levels, 2) / mean * mean_row / row[size_t(i)];
      for (size_t k = 0; k < length.size(); ++k) length[k] += std::abs(double(exact.parameter()[k]) - before[k]);
    }
    double worst = 0, furthest = 0;
    for (int64_t i = 0; i < kTokens; ++i)
      for (int64_t j = 0; j < kWidth; ++j) {
        const auto at = size_t(i * kWidth + j);
        const double bound = options.lr * 6 * 0.5 * std::sqrt(walk[size_t(i)]) + length[at];
        const double away = std::abs(double(stored.at(i, j)) - exact.at(i, j));
        ASSERT_LE(away, bound) << storage << " row " << i;
        worst = std::max(worst, away / bound);
        furthest = std::max(furthest, away);
      }
    EXPECT_GT(worst, 1e-3) << storage << ": the bound is never approached";
    EXPECT_LE(furthest, 3) << storage;
  }
}

}  // namespace
}  // namespace plumbline
