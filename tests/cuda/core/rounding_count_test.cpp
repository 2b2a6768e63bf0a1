// The rounding counts that production states, against an evaluation of its own expressions that counts.
#include <gtest/gtest.h>

#include <string>

#include "cuda/api/optimizer.h"
#include "cuda/core/codec.h"
#include "cuda/core/momentum.h"
#include "cuda/core/projection.h"
#include "cuda/core/step.h"
#include "cuda/core/uniform.h"
#include "tests/cuda/counted.h"
#include "tests/cuda/straight_line.h"

namespace plumbline {
namespace {

using counting::Counted;

// Operands whose path is not the one of interest, and ones that bring no rounding along.
Counted elsewhere(float x) { return {x, -1e6}; }
Counted exact(float x) { return Counted(x); }

Optimizer make(std::vector<int64_t> shape, Type gradient, double weight_decay, bool factored = true) {
  GroupOptions options;
  options.weight_decay = weight_decay;
  options.factored = factored;
  TensorSpec spec;
  spec.name = "w";
  spec.shape = std::move(shape);
  spec.gradient = gradient;
  return Optimizer({spec}, {options}, {});
}

core::Weights<Counted> weights() { return core::round_weights<Counted>(core::PowerResult{0.3, 0.7}, 0x1p-90f); }

struct Shape {
  int m, n;
};
class FactoredCounts : public testing::TestWithParam<Shape> {};

TEST_P(FactoredCounts, EveryFieldIsWhatTheExpressionsRound) {
  const auto [m, n] = GetParam();
  const Arithmetic a = make({m, n}, Type::float32, 0.1).arithmetic(0);

  // sums: squares that bring no rounding
  EXPECT_EQ(a.row_additions, straight_line::tree(std::vector<Counted>(size_t(n), exact(0.3f))).roundings);
  const core::Weights<Counted> unit = {exact(1.0f), exact(0.0f), exact(0.0f)};
  straight_line::Averages<Counted> sums;
  sums.row.assign(size_t(m), exact(0.0f));
  sums.col.assign(size_t(n), exact(0.0f));
  const std::vector<Counted> squares(size_t(m) * size_t(n), exact(0.3f));
  straight_line::update_averages(squares, m, n, unit, sums);
  // with w = 1 and no eps1: R = (sum / n) and then fma(1, x, 0), which rounds in general
  const double row = a.row_additions + 2, col = a.col_additions + 2;
  EXPECT_EQ(sums.row[0].roundings, row);
  EXPECT_EQ(sums.col[0].roundings, col);
  for (const Counted& x : sums.col) EXPECT_LE(x.roundings, col);
  EXPECT_EQ(sums.weighted[0].roundings, row + a.inverse_row + a.weighted_additions);
  for (const Counted& x : sums.weighted) EXPECT_LE(x.roundings, sums.weighted[0].roundings);

  // averages
  EXPECT_EQ(a.average_new, core::average(elsewhere(0.2f), exact(0.3f), exact(float(n)), weights()).roundings);
  core::Weights<Counted> old_only = weights();
  old_only.w = elsewhere(0.3f);
  EXPECT_EQ(a.average_old, core::average(exact(0.2f), exact(0.3f), exact(float(n)), old_only).roundings);

  // scales and update
  EXPECT_EQ(a.step_coefficient, Counted(0.123456789).roundings);
  EXPECT_EQ(a.row_scale, core::row_scale(exact(0.1f), exact(0.3f)).roundings);
  EXPECT_EQ(a.col_scale, core::col_scale(exact(0.3f)).roundings);
  EXPECT_EQ(a.update, core::apply(elsewhere(0.2f), exact(0.3f), exact(0.1f), exact(0.7f), exact(0.9f)).roundings);
  EXPECT_EQ(a.decayed + 1,
            core::apply(exact(0.2f), elsewhere(0.3f), elsewhere(0.1f), exact(0.7f), exact(0.9f)).roundings);

  // and a whole step on counted squares: nothing is left out between the fields
  straight_line::Averages<Counted> whole;
  whole.row.assign(size_t(m), exact(0.0f));
  whole.col.assign(size_t(n), exact(0.0f));
  const Counted square = core::square(exact(0.3f));
  straight_line::update_averages(std::vector<Counted>(size_t(m) * size_t(n), square), m, n, weights(), whole);
  const double r = a.square + a.row_additions + a.average_new, c = a.square + a.col_additions + a.average_new;
  EXPECT_EQ(whole.row[0].roundings, r);
  EXPECT_EQ(whole.col[0].roundings, c);
  EXPECT_EQ(whole.weighted[0].roundings, a.square + r + a.inverse_row + a.weighted_additions);
  const Counted ai = core::row_scale(Counted(0.1), whole.row[0]), bj = core::col_scale(whole.col[0]);
  EXPECT_EQ(core::apply(elsewhere(0.2f), exact(0.3f), ai, bj, exact(0.9f)).roundings,
            a.step_coefficient + a.row_scale + r / 2 + a.col_scale + c / 2 + a.update);
}
INSTANTIATE_TEST_SUITE_P(Shapes, FactoredCounts,
                         testing::Values(Shape{1, 1}, Shape{1, 7}, Shape{7, 1}, Shape{8, 64}, Shape{9, 5},
                                         Shape{37, 129}, Shape{1024, 3}, Shape{1025, 2}, Shape{2049, 2},
                                         Shape{3, 2049}),
                         [](const auto& p) { return std::to_string(p.param.m) + "x" + std::to_string(p.param.n); });

TEST(FullCounts, EveryFieldIsWhatTheExpressionsRound) {
  const Arithmetic a = make({5, 7}, Type::float32, 0.1, false).arithmetic(0);
  const Counted square = core::square(exact(0.3f));
  EXPECT_EQ(a.square, square.roundings);
  EXPECT_EQ(a.square + a.full_new, core::full_average(elsewhere(0.2f), exact(0.3f), weights()).roundings);
  core::Weights<Counted> old_only = weights();
  old_only.w = elsewhere(0.3f);
  EXPECT_EQ(a.full_old, core::full_average(exact(0.2f), exact(0.3f), old_only).roundings);
  EXPECT_EQ(a.full_update, core::full_update(exact(0.3f), exact(0.2f)).roundings);
  EXPECT_EQ(a.update, core::apply_full(elsewhere(0.2f), exact(0.3f), exact(0.1f), exact(0.9f)).roundings);
  EXPECT_EQ(a.decayed + 1, core::apply_full(exact(0.2f), elsewhere(0.3f), elsewhere(0.1f), exact(0.9f)).roundings);
}

TEST(Counts, WithoutDecayTheParameterEntersExactly) {
  EXPECT_EQ(make({5, 7}, Type::float32, 0.0).arithmetic(0).decayed, 0);
  EXPECT_EQ(core::apply(exact(0.2f), elsewhere(0.3f), elsewhere(0.1f), exact(0.7f), exact(1.0f)).roundings, 1);
}

TEST(Counts, SquaresOfSixteenBitGradientsAreExact) {
  EXPECT_EQ(make({5, 7}, Type::bfloat16, 0.0).arithmetic(0).square, 0);
  EXPECT_EQ(make({5, 7}, Type::float16, 0.0).arithmetic(0).square, 0);
  EXPECT_EQ(make({5, 7}, Type::float32, 0.0).arithmetic(0).square, 1);
  for (uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    const float x = core::widen(core::f16{uint16_t(bits)});
    ASSERT_EQ(double(core::square(x)), double(x) * double(x)) << bits;
  }
  for (uint32_t bits = 0; bits < 0x5f80u; ++bits) {  // |g| < 2^64
    const float x = core::widen(core::bf16{uint16_t(bits)});
    if (x == 0.0f || x >= 0x1p-66f) {
      ASSERT_EQ(double(core::square(x)), double(x) * double(x)) << bits;
    } else {  // underflow: an absolute error of half the least subnormal
      ASSERT_LE(std::fabs(double(core::square(x)) - double(x) * double(x)), 0x1p-150) << bits;
    }
  }
}

TEST(Counts, MomentumAndWhatFollowsIt) {
  GroupOptions options;
  options.beta1 = 0.9;
  options.momentum_of = MomentumOf::update;
  options.beta3 = 0.99;
  const Arithmetic a = Optimizer({{"w", {8, 16}, Type::float32, Type::float32, 0}}, {options}, {}).arithmetic(0);
  const Counted b1(0.9), c1(1.0 - 0.9);
  EXPECT_EQ(a.momentum_new, core::momentum(elsewhere(0.2f), exact(0.3f), b1, c1).roundings);
  EXPECT_EQ(a.momentum_old, core::momentum(exact(0.2f), exact(0.3f), b1, elsewhere(0.1f)).roundings);
  EXPECT_EQ(a.clipped_update, core::clipped_update(exact(0.3f), exact(0.7f), exact(0.9f)).roundings);
  EXPECT_EQ(a.uniform_encode,
            core::unrounded_uniform(exact(0.3f), core::uniform_factor(exact(7.0f), exact(0.7f))).roundings);
  EXPECT_EQ(a.uniform_decode, core::decode_uniform(exact(3.0f), exact(7.0f), exact(0.7f)).roundings);
  EXPECT_EQ(a.resolution, core::resolution_square(exact(0.7f), Counted(0.123456789)).roundings);
  EXPECT_EQ(a.mean_resolution, core::mean_resolution(exact(0.7f), exact(7.0f)).roundings);
}

TEST(Counts, OfTheLowRankUpdate) {
  GroupOptions options;
  options.projection_rank = 4;
  const auto described = [&] {
    return Optimizer({{"w", {8, 16}, Type::float32, Type::bfloat16, 0}}, {options}, {}).arithmetic(0);
  };
  EXPECT_EQ(described().low_rank_update, core::low_rank_update(exact(0.3f), exact(0.2f), exact(0.01f)).roundings);
  EXPECT_EQ(described().square, 1);
  options.projection_factored = true;
  const Counted inverse(0.123456789);
  EXPECT_EQ(described().low_rank_update,
            core::low_rank_factored_update(exact(0.3f), exact(0.2f), exact(0.4f), inverse, exact(0.01f)).roundings);
}

TEST(Counts, Decoding) {
  const Arithmetic a = make({64, 64}, Type::float32, 0.0).arithmetic(0);
  const Counted step = core::code_step(exact(3.3f), exact(254.0f));
  EXPECT_EQ(a.log_decode, core::code_exponent(exact(77.0f), step, exact(0.3f)).roundings);
  EXPECT_EQ(a.linear_decode, core::decode_linear(exact(77.0f), exact(0.3f)).roundings);
}

}  // namespace
}  // namespace plumbline
