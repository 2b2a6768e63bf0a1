// Values of the reference: plain double, row-major.
#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <vector>

namespace plumbline::reference {

using Matrix = Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::ArrayXd;
using MatrixMap = Eigen::Map<Matrix>;
using ConstMatrixMap = Eigen::Map<const Matrix>;

// A tensor of any number of axes. Of two or more, it is read as a batch of matrices over its last two axes:
// slices() matrices of rows() x cols(); a vector is one matrix of one row.
struct Tensor {
  std::vector<int64_t> shape;
  Vector data;  // row-major, size = product of shape

  Tensor() = default;
  explicit Tensor(std::vector<int64_t> extents);  // zeros; throws std::invalid_argument for an empty tensor
  Tensor(std::vector<int64_t> extents, Vector values);

  int64_t size() const { return data.size(); }
  int64_t slices() const;
  int64_t rows() const;
  int64_t cols() const;
  MatrixMap matrix(int64_t slice) { return {data.data() + slice * rows() * cols(), rows(), cols()}; }
  ConstMatrixMap matrix(int64_t slice) const { return {data.data() + slice * rows() * cols(), rows(), cols()}; }
};

// sqrt(mean(x^2)) over the whole tensor
double rms(const Tensor& x);

}  // namespace plumbline::reference
