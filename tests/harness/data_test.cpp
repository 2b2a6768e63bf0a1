#include "harness/data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "harness/codecs/published.h"
#include "harness/error.h"
#include "harness/linear/data.h"

namespace plumbline::harness {
namespace {

Realized gradient(const std::string& words, int64_t step) {
  Realized out;
  DataSource(parse_problem(words)).gradient(step, out);
  return out;
}
Eigen::Index zero_rows(const reference::Tensor& x) {
  Eigen::Index zero = 0;
  for (Eigen::Index i = 0; i < x.rows(); ++i) zero += (x.matrix(0).row(i) == 0).all();
  return zero;
}

TEST(DataSource, RealizedValuesAreExactlyTheStoredBytes) {
  for (const char* type : {"f32", "bf16", "f16"}) {
    const Problem p =
        parse_problem(std::string("shape=30x20 data=heavy_tail:-6 seed=4 grad=") + type + " param=" + type);
    const DataSource source(p);
    Realized g, w;
    source.gradient(1, g);
    source.initial_parameter(w);
    for (const Realized* r : {&g, &w}) {
      EXPECT_EQ(r->bytes.size(), 600 * size_of(p.gradient));
      std::vector<double> back(600);
      load(p.gradient, r->bytes.data(), back);
      for (size_t i = 0; i < 600; ++i) ASSERT_EQ(back[i], r->values.data[Eigen::Index(i)]);
    }
  }
}

TEST(DataSource, AStepDependsOnSeedAndNumberAlone) {
  const std::string words = "shape=30x20 data=gaussian:-6 steps=5 seed=";
  EXPECT_EQ(gradient(words + "4", 3).bytes, gradient(words + "4", 3).bytes);
  EXPECT_NE(gradient(words + "4", 3).bytes, gradient(words + "4", 2).bytes);
  EXPECT_NE(gradient(words + "4", 3).bytes, gradient(words + "5", 3).bytes);
}

TEST(DataSource, RegimesAreWhatTheyAreCalled) {
  const std::string shape = "shape=100x80 steps=6 seed=4 data=";
  EXPECT_NEAR(reference::rms(gradient(shape + "gaussian:-6", 1).values), 0x1p-6, 0x1p-11);
  EXPECT_NEAR(reference::rms(gradient(shape + "gaussian:3", 1).values), 8, 0.25);
  EXPECT_EQ(gradient(shape + "frozen:-6", 1).bytes, gradient(shape + "frozen:-6", 5).bytes);
  EXPECT_NEAR(reference::rms(gradient(shape + "growing:-6", 3).values), 0x1p-2, 0x1p-7);
  EXPECT_TRUE((gradient(shape + "constant:-6", 2).values.data == 0x1p-6).all());

  const reference::Tensor zero = gradient(shape + "zero_rows:-6", 1).values;
  EXPECT_GT(zero_rows(zero), 5);
  EXPECT_LT(zero_rows(zero), 50);
  EXPECT_EQ(zero_rows(gradient(shape + "zero_rows:-6", 2).values), zero_rows(zero));
  for (int64_t step = 1; step <= 6; ++step) {
    const Eigen::Index sparse = zero_rows(gradient(shape + "sparse_rows:-6", step).values);
    EXPECT_GT(sparse, 70);
    EXPECT_LT(sparse, 100);
  }

  const reference::Tensor columns = gradient(shape + "zero_cols:-6", 1).values,
                          again = gradient(shape + "zero_cols:-6", 2).values;
  Eigen::Index dead = 0;
  for (Eigen::Index j = 0; j < 80; ++j) {
    const bool zero_col = (columns.matrix(0).col(j) == 0).all();
    EXPECT_EQ(zero_col, (again.matrix(0).col(j) == 0).all()) << j;
    dead += zero_col;
  }
  EXPECT_GT(dead, 4);
  EXPECT_LT(dead, 40);
  EXPECT_EQ(zero_rows(columns), 0);

  // about 1/4 (1 + 1/2 + 1/4 + 1/8) of the rows are seen in a step, and some not in four steps
  std::vector<int> seen(100);
  for (int64_t step = 1; step <= 4; ++step) {
    const reference::Tensor rare = gradient(shape + "rare_rows:-6", step).values;
    EXPECT_NEAR(double(zero_rows(rare)), 53, 25) << step;
    for (Eigen::Index i = 0; i < 100; ++i) seen[size_t(i)] += !(rare.matrix(0).row(i) == 0).all();
  }
  EXPECT_GT(std::count(seen.begin(), seen.end(), 0), 0);
  EXPECT_GT(std::count(seen.begin(), seen.end(), 1), 0);
  EXPECT_GT(std::count(seen.begin(), seen.end(), 4), 0);

  for (int64_t step = 1; step <= 6; ++step)
    EXPECT_EQ((gradient(shape + "paused:-6", step).values.data == 0).all(), step % 3 != 1) << step;
  EXPECT_NEAR(reference::rms(gradient(shape + "vanishing:-6", 3).values), 0x1p-30, 0x1p-35);
  EXPECT_TRUE((gradient("shape=100x80 steps=99 seed=4 data=vanishing:-6", 99).values.data == 0).all());
  const reference::Tensor outliers = gradient(shape + "outlier:-6", 2).values;
  const auto large = (outliers.data.abs() > 4 * 0x1p-6).count();
  EXPECT_GT(large, 110);  // of 125, but for those that the bell makes small
  EXPECT_LE(large, 125);

  const reference::Tensor spike = gradient(shape + "spike:-6", 2).values;
  EXPECT_EQ(spike.data.maxCoeff(), 16);
  EXPECT_LT(gradient(shape + "spike:-6", 1).values.data.abs().maxCoeff(), 0.1);
  EXPECT_GT(gradient(shape + "heavy_tail:-6", 1).values.data.abs().maxCoeff(), 8);

  const reference::Tensor one = gradient(shape + "rank_one:-6", 1).values;
  const auto m = one.matrix(0);
  for (int i = 1; i < 100; ++i) EXPECT_NEAR(m(i, 5) * m(0, 9), m(i, 9) * m(0, 5), 1e-6 * std::fabs(m(i, 5) * m(0, 9)));

  const reference::Tensor wide = gradient(shape + "wide:-6", 1).values;
  double smallest = HUGE_VAL, largest = 0;
  for (Eigen::Index i = 0; i < 100; ++i) {
    const double r = std::sqrt(wide.matrix(0).row(i).square().mean());
    smallest = std::min(smallest, r), largest = std::max(largest, r);
  }
  EXPECT_GT(largest / smallest, 0x1p16);

  const reference::Tensor tiny = gradient(shape + "subnormal:-6", 1).values;
  EXPECT_LT(tiny.data.abs().maxCoeff(), 0x1p-115);
  EXPECT_TRUE(((tiny.data != 0) && (tiny.data.abs() < 0x1p-126)).any());

  const reference::Tensor extreme = gradient(shape + "extreme:-6", 1).values;
  EXPECT_TRUE((extreme.data == 0).any());
  EXPECT_TRUE(((extreme.data != 0) && (extreme.data.abs() < 0x1p-126)).any());
  EXPECT_GT(extreme.data.abs().maxCoeff(), 1);
}

TEST(DataSource, NonfiniteStepsHoldWhatThePolicyIsAbout) {
  const auto odd = [](const reference::Tensor& g) { return (!(g.data.abs() < 0x1p50)).count(); };
  for (const char* words : {"", "grad=f16 ", "grad=bf16 nonfinite=skip "}) {
    const std::string line = std::string(words) + "shape=100x80 data=nonfinite:-6 steps=4 seed=4";
    EXPECT_EQ(odd(gradient(line, 1).values), 0);
    EXPECT_GT(odd(gradient(line, 2).values), 0);
    EXPECT_LE(odd(gradient(line, 2).values), 5);
  }
  const reference::Tensor nan = gradient("shape=100x80 data=nonfinite:-6 nonfinite=propagate steps=4 seed=4", 2).values;
  EXPECT_FALSE(nan.data.isInf().any());
  EXPECT_TRUE(nan.data.isNaN().any());
}

TEST(DataSource, OneParameterInSixteenIsZero) {
  const DataSource source(parse_problem("shape=100x80 init=-4 seed=4"));
  Realized p;
  source.initial_parameter(p);
  EXPECT_NEAR(double((p.values.data == 0).count()) / 8000, 1.0 / 16, 0.02);
  EXPECT_NEAR(reference::rms(p.values), 0x1p-4, 0x1p-7);
}

TEST(TracePath, IsAPathOrANameOfTheProjectsOwn) {
  EXPECT_EQ(trace_path("a/b"), "a/b");
  EXPECT_EQ(trace_path("x.safetensors"), "x.safetensors");
  unsetenv("PLUMBLINE_DATA");
  EXPECT_TRUE(std::filesystem::exists(trace_path("digits_cnn")));
  setenv("PLUMBLINE_DATA", "/elsewhere", 1);
  EXPECT_EQ(trace_path("digits_cnn"), "/elsewhere/traces/digits_cnn.safetensors");
  EXPECT_EQ(layer_path("x"), "/elsewhere/w8a8/w8a8-x.safetensors");
  EXPECT_EQ(codecs::published_inputs(), "/elsewhere/codec_study/A1.safetensors");
  EXPECT_THROW(recorded_layers(), InputError);  // and not: none are recorded
  unsetenv("PLUMBLINE_DATA");
}

}  // namespace
}  // namespace plumbline::harness
