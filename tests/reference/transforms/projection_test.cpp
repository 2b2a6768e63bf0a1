// Projected gradients: shapes, both sides, channel and tensor scaling, the way back, refreshes.
#include "reference/transforms/projection.h"

#include <gtest/gtest.h>

#include <cmath>

#include "reference/dialects/adam_low_rank.h"
#include "reference/transforms/projected_residual.h"
#include "reference/transforms/projected_scaling.h"

namespace plumbline::reference {
namespace {

Tensor random(Shape shape) {
  Tensor out(std::move(shape));
  out.data.setRandom();
  return out;
}

// A chain that leaves N_low = 3 G_low.
Chain triple() {
  class Triple final : public Transform {
   public:
    void apply(Step& step) override { step.scale *= 3; }
  };
  Chain chain;
  chain.add<Triple>();
  return chain;
}

TEST(ProjectionTest, ShapeChoosesTheSide) {
  EXPECT_EQ(Projection({5, 3}, {.rank = 2, .source = nullptr}).low_shape(), (Shape{5, 2}));
  EXPECT_EQ(Projection({3, 3}, {.rank = 2, .source = nullptr}).low_shape(), (Shape{3, 2}));
  EXPECT_EQ(Projection({3, 5}, {.rank = 2, .source = nullptr}).low_shape(), (Shape{2, 5}));
  EXPECT_EQ(Projection({2, 3, 4}, {.rank = 1, .source = nullptr}).low_shape(), (Shape{1, 12}));
  EXPECT_THROW(Projection({5}, {.rank = 1, .source = nullptr}), std::invalid_argument);
}

TEST(ProjectionTest, BackIsTheTransposeTimesAlpha) {
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}}) {
    Projection p(shape, {.rank = 2, .alpha = 0.5, .source = nullptr});
    p.matrix().data.setRandom();
    const Tensor g = random(shape), l = random(p.low_shape());
    Tensor low(p.low_shape()), full(shape);
    p.project(g, low);
    p.back(l, full);
    // <project(g), l> alpha = <g, back(l)>
    EXPECT_NEAR(0.5 * (low.data * l.data).sum(), (g.data * full.data).sum(), 1e-14);
  }
}

TEST(ProjectionTest, IsRefreshedAtTheFirstStepAndEveryGap) {
  std::vector<int64_t> counts;
  Projection p({3, 2}, {.rank = 1, .refresh_every = 3, .source = [&](const ConstMatrixMap&, int64_t count, MatrixMap) {
                          counts.push_back(count);
                        }});
  const Tensor g({3, 2});
  for (int64_t t = 1; t <= 7; ++t) p.refresh(t, g);
  EXPECT_EQ(counts, (std::vector<int64_t>{0, 1, 2}));
}

TEST(LowRankTest, ScalingIsTheRatioOfNormsPerChannelOrTensor) {
  for (const ScaleType type : {ScaleType::channel, ScaleType::tensor})
    for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}}) {
      Projection projection(shape, {.rank = 2, .source = nullptr});
      projection.matrix().data.setRandom();
      ProjectedScaling scaling(LowRank(std::move(projection), triple().take()), type);
      Tensor p(shape);
      const Tensor g = random(shape);
      Step step(1, p, g, nullptr);
      scaling.apply(step);
      EXPECT_LE((step.update().data / g.data - 3).abs().maxCoeff(), 1e-6);  // 1e-8 beside norms of about 0.1
    }
}

TEST(LowRankTest, ChannelsAreRowsOfTallMatricesAndColumnsOfWideOnes) {
  for (const Shape& shape : {Shape{4, 2}, Shape{2, 4}}) {
    Projection projection(shape, {.rank = 1, .source = nullptr});
    projection.matrix().data.setOnes();
    auto adam = adam_chain(projection.low_shape(), 0.5, 0.5, 1e-6);
    ProjectedScaling scaling(LowRank(std::move(projection), adam.take()), ScaleType::channel);
    Tensor p(shape), g(shape);
    for (int64_t k = 0; k < 8; ++k) g.data[k] = static_cast<double>(1 + k * k);
    Step step(1, p, g, nullptr);
    scaling.apply(step);
    const Vector ratio = step.update().data / g.data;
    const bool tall = shape[0] > shape[1];
    for (int64_t i = 0; i < shape[0]; ++i)
      for (int64_t j = 0; j < shape[1]; ++j) {
        const int64_t first = tall ? i * 2 : j;  // first element of the channel
        EXPECT_DOUBLE_EQ(ratio[i * shape[1] + j], ratio[first]);
      }
    EXPECT_NE(ratio[0], ratio[7]);
  }
}

TEST(ResidualTest, FullRankOrthonormalProjectionLeavesNoResidual) {
  Projection projection({3, 3}, {.rank = 3, .source = nullptr});
  projection.matrix().matrix(0).matrix().setIdentity();
  ProjectedResidual residual(LowRank(std::move(projection), triple().take()));
  Tensor p({3, 3});
  const Tensor g = random({3, 3});
  Step step(1, p, g, nullptr);
  residual.apply(step);
  EXPECT_TRUE((step.update().data == 3 * g.data).all());
  EXPECT_EQ(residual.state(Slot::previous_norm)->data[0], 0);
}

TEST(ResidualTest, AddsWhatTheProjectionLeavesOut) {
  Projection projection({2, 2}, {.rank = 1, .source = nullptr});
  projection.matrix().data << 1, 0;  // keeps the first column
  ProjectedResidual residual(LowRank(std::move(projection), triple().take()));
  Tensor p({2, 2}), g({2, 2});
  g.data << 1, 2, 4, 8;
  Step step(1, p, g, nullptr);
  residual.apply(step);
  EXPECT_LE((step.update().data - 3 * g.data).abs().maxCoeff(), 1e-6);  // s = 3 up to 1e-8
  EXPECT_NEAR(residual.state(Slot::previous_norm)->data[0], 3 * std::sqrt(4.0 + 64.0), 1e-6);
}

}  // namespace
}  // namespace plumbline::reference
