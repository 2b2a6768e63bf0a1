#include "reference/axes.h"

#include <gtest/gtest.h>

namespace plumbline::reference {
namespace {

TEST(AxesTest, LastTwoAxesNeedTwo) {
  EXPECT_EQ(last_two_axes({7}), std::nullopt);
  EXPECT_EQ(last_two_axes({4, 3, 2, 5}), (FactorAxes{2, 3}));
}

TEST(AxesTest, TwoLargestAxesPutColumnsAlongTheLargest) {
  EXPECT_EQ(two_largest_axes({5, 3}, 1), (FactorAxes{1, 0}));
  EXPECT_EQ(two_largest_axes({3, 5}, 1), (FactorAxes{0, 1}));
  EXPECT_EQ(two_largest_axes({2, 4, 3}, 1), (FactorAxes{2, 1}));
}

TEST(AxesTest, TiesKeepTheOrderOfTheAxes) {
  EXPECT_EQ(two_largest_axes({16, 16}, 1), (FactorAxes{0, 1}));
  EXPECT_EQ(two_largest_axes({4, 4, 4}, 1), (FactorAxes{1, 2}));
}

TEST(AxesTest, BothLargestAxesMustReachTheMinimum) {
  EXPECT_EQ(two_largest_axes({2, 4, 3}, 4), std::nullopt);
  EXPECT_NE(two_largest_axes({2, 4, 4}, 4), std::nullopt);
  EXPECT_EQ(two_largest_axes({9}, 1), std::nullopt);
}

TEST(AxesTest, OnlyMatricesHaveMatrixAxes) {
  EXPECT_EQ(matrix_axes({2, 3, 4}), std::nullopt);
  EXPECT_EQ(matrix_axes({3, 4}), (FactorAxes{0, 1}));
}

TEST(AxesTest, EveryElementIsVisitedOnceWhateverTheAxes) {
  const Shape shape{2, 4, 3};
  Tensor x(shape), seen(shape);
  for (int64_t k = 0; k < x.size(); ++k) x.data[k] = static_cast<double>(k);
  for (const auto& [row, col] : {FactorAxes{1, 2}, FactorAxes{2, 1}, FactorAxes{0, 1}, FactorAxes{2, 0}}) {
    seen.data.setZero();
    const MatrixBatch batch = matrices_over(shape, row, col);
    EXPECT_EQ(batch.slices() * batch.rows * batch.cols, 24);
    for_each_line(x.data.data(), seen.data.data(), batch,
                  [](int64_t, int64_t, const auto& from, auto& to) { to = from + 1; });
    EXPECT_TRUE((seen.data == x.data + 1).all());
  }
}

TEST(AxesTest, LinesRunAlongTheColumnAxis) {
  Tensor x({2, 3});
  x.data << 1, 2, 3, 4, 5, 6;
  for_each_line(x.data.data(), matrices_over(x.shape, 1, 0), [](int64_t s, int64_t i, const auto& line) {
    EXPECT_EQ(s, 0);
    EXPECT_EQ(line[0], static_cast<double>(i + 1));
    EXPECT_EQ(line[1], static_cast<double>(i + 4));
  });
}

}  // namespace
}  // namespace plumbline::reference
