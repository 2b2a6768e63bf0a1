// Which two axes of a tensor a second moment is factored over, and how to walk the matrices that they span.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "reference/tensor.h"

namespace plumbline::reference {

using Shape = std::vector<int64_t>;

// The matrices over two axes of a row-major tensor; strides and offsets in elements.
struct MatrixBatch {
  int64_t rows = 1, cols = 1;
  int64_t row_stride = 0, col_stride = 1;
  std::vector<int64_t> first{0};  // offset of every matrix's first element, other axes in row-major order

  int64_t slices() const { return static_cast<int64_t>(first.size()); }
  bool operator==(const MatrixBatch&) const = default;
};

// Rows along `row_axis`, columns along `col_axis`.
MatrixBatch matrices_over(const Shape& shape, size_t row_axis, size_t col_axis);

// Axes to factor, or none where the rule keeps a full second moment.
struct FactorAxes {
  size_t row = 0, col = 0;
  bool operator==(const FactorAxes&) const = default;
};
// The last two of any tensor that has two                               [torch, transformers, CAME]
std::optional<FactorAxes> last_two_axes(const Shape& shape);
// The two largest, columns along the largest, when both reach `minimum`  [optax, factorized._factored_dims]
std::optional<FactorAxes> two_largest_axes(const Shape& shape, int64_t minimum);
// Both axes of a matrix, no others                                       [rlx]
std::optional<FactorAxes> matrix_axes(const Shape& shape);

// Averages over one of both axes that a program keeps in the tensor's shape without that axis: its k-th value is at [k]
// of ours, which are (slices, kept). Rows are averaged over axes.col.
std::vector<int64_t> order_without_axis(const Shape& shape, const FactorAxes& axes, bool rows);

// f(slice, row, line) for every row of every matrix; `line` maps its columns and has a fixed stride of 1 where it can,
// so that Eigen vectorises.
template <class F>
void for_each_line(const double* values, const MatrixBatch& batch, F f) {
  for (int64_t s = 0; s < batch.slices(); ++s)
    for (int64_t i = 0; i < batch.rows; ++i) {
      const double* line = values + batch.first[static_cast<size_t>(s)] + i * batch.row_stride;
      if (batch.col_stride == 1)
        f(s, i, Eigen::Map<const Vector>(line, batch.cols));
      else
        f(s, i,
          Eigen::Map<const Vector, 0, Eigen::InnerStride<>>(line, batch.cols, Eigen::InnerStride<>(batch.col_stride)));
    }
}

// The same with the matching line of a tensor to write.
template <class F>
void for_each_line(const double* values, double* out, const MatrixBatch& batch, F f) {
  for (int64_t s = 0; s < batch.slices(); ++s)
    for (int64_t i = 0; i < batch.rows; ++i) {
      const int64_t at = batch.first[static_cast<size_t>(s)] + i * batch.row_stride;
      if (batch.col_stride == 1) {
        Eigen::Map<Vector> to(out + at, batch.cols);
        f(s, i, Eigen::Map<const Vector>(values + at, batch.cols), to);
      } else {
        const Eigen::InnerStride<> stride(batch.col_stride);
        Eigen::Map<Vector, 0, Eigen::InnerStride<>> to(out + at, batch.cols, stride);
        f(s, i, Eigen::Map<const Vector, 0, Eigen::InnerStride<>>(values + at, batch.cols, stride), to);
      }
    }
}

}  // namespace plumbline::reference
