#include "reference/axes.h"

#include <algorithm>
#include <numeric>

namespace plumbline::reference {

MatrixBatch matrices_over(const Shape& shape, size_t row_axis, size_t col_axis) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t a = shape.size(); a-- > 1;) stride[a - 1] = stride[a] * shape[a];

  MatrixBatch batch;
  batch.rows = shape[row_axis];
  batch.cols = shape[col_axis];
  batch.row_stride = stride[row_axis];
  batch.col_stride = stride[col_axis];
  for (size_t a = 0; a < shape.size(); ++a) {
    if (a == row_axis || a == col_axis) continue;
    std::vector<int64_t> finer;
    finer.reserve(batch.first.size() * static_cast<size_t>(shape[a]));
    for (const int64_t offset : batch.first)
      for (int64_t k = 0; k < shape[a]; ++k) finer.push_back(offset + k * stride[a]);
    batch.first = std::move(finer);
  }
  return batch;
}

std::optional<FactorAxes> last_two_axes(const Shape& shape) {
  if (shape.size() < 2) return std::nullopt;
  return FactorAxes{shape.size() - 2, shape.size() - 1};
}

std::optional<FactorAxes> two_largest_axes(const Shape& shape, int64_t minimum) {
  if (shape.size() < 2) return std::nullopt;
  std::vector<size_t> order(shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return shape[a] < shape[b]; });
  const FactorAxes axes{order[order.size() - 2], order.back()};
  if (shape[axes.row] < minimum) return std::nullopt;
  return axes;
}

std::optional<FactorAxes> matrix_axes(const Shape& shape) {
  return shape.size() == 2 ? last_two_axes(shape) : std::nullopt;
}

std::vector<int64_t> order_without_axis(const Shape& shape, const FactorAxes& axes, bool rows) {
  const size_t kept = rows ? axes.row : axes.col, averaged = rows ? axes.col : axes.row;
  std::vector<int64_t> out{0};
  int64_t slices = 1;
  for (size_t a = 0; a < shape.size(); ++a)
    if (a != kept && a != averaged) slices *= shape[a];
  int64_t coarser = slices;  // stride of the axis before, counted in slices
  for (size_t a = 0; a < shape.size(); ++a) {
    if (a == averaged) continue;
    if (a != kept) coarser /= shape[a];
    const int64_t stride = a == kept ? 1 : coarser * shape[kept];
    std::vector<int64_t> finer;
    for (const int64_t at : out)
      for (int64_t k = 0; k < shape[a]; ++k) finer.push_back(at + k * stride);
    out = std::move(finer);
  }
  return out;
}

}  // namespace plumbline::reference
