#include "reference/tensor.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace plumbline::reference {
namespace {

TEST(TensorTest, MatrixIsOneSlice) {
  const Tensor x({3, 5});
  EXPECT_EQ(x.slices(), 1);
  EXPECT_EQ(x.rows(), 3);
  EXPECT_EQ(x.cols(), 5);
  EXPECT_EQ(x.size(), 15);
}

TEST(TensorTest, VectorIsOneMatrixOfOneRow) {
  const Tensor x({7});
  EXPECT_EQ(x.slices(), 1);
  EXPECT_EQ(x.rows(), 1);
  EXPECT_EQ(x.cols(), 7);
}

TEST(TensorTest, HigherOrdersAreBatchesOverTheLastTwoAxes) {
  Tensor x({4, 3, 2, 5});
  EXPECT_EQ(x.slices(), 12);
  EXPECT_EQ(x.rows(), 2);
  EXPECT_EQ(x.cols(), 5);
  x.matrix(11)(1, 4) = 8;
  EXPECT_EQ(x.data[119], 8);
}

TEST(TensorTest, EmptyTensorsAreErrors) {
  EXPECT_THROW(Tensor({0}), std::invalid_argument);
  EXPECT_THROW(Tensor({3, 0, 2}), std::invalid_argument);
  EXPECT_THROW(Tensor({-1}), std::invalid_argument);
  EXPECT_THROW(Tensor({int64_t{1} << 40, int64_t{1} << 40}), std::invalid_argument);
  EXPECT_THROW(Tensor({2, 2}, Vector::Zero(3)), std::invalid_argument);
}

TEST(TensorTest, RmsIsTheRootOfTheMeanSquare) {
  Tensor x({2, 2});
  x.data << 1, -1, 7, -7;
  EXPECT_EQ(rms(x), 5);
}

}  // namespace
}  // namespace plumbline::reference
