#include "reference/transforms/projection.h"

#include <stdexcept>
#include <utility>

namespace plumbline::reference {
namespace {

ConstMatrixMap as_matrix(const Tensor& x, int64_t rows, int64_t cols) { return {x.data.data(), rows, cols}; }
MatrixMap as_matrix(Tensor& x, int64_t rows, int64_t cols) { return {x.data.data(), rows, cols}; }

}  // namespace

Projection::Projection(const Shape& shape, ProjectionOptions options) : options_(std::move(options)) {
  if (shape.size() < 2) throw std::invalid_argument("projection: a vector, expected a tensor of two or more axes");
  rows_ = shape[0];
  cols_ = 1;
  for (size_t a = 1; a < shape.size(); ++a) cols_ *= shape[a];
  right_ = rows_ >= cols_;
  if (options_.side == ProjectionSide::against_shape) right_ = !right_;
  if (options_.side == ProjectionSide::right || options_.side == ProjectionSide::left)
    right_ = options_.side == ProjectionSide::right;
  projection_ = right() ? Tensor({options_.rank, cols_}) : Tensor({rows_, options_.rank});
}

Shape Projection::low_shape() const { return right() ? Shape{rows_, options_.rank} : Shape{options_.rank, cols_}; }

void Projection::refresh(int64_t t, const Tensor& gradient) {
  // Also where a run begins in the middle: the P that is in force then.
  const int64_t count = (t - 1) / options_.refresh_every;
  if (!options_.source || count == held_) return;
  options_.source(as_matrix(gradient, rows_, cols_), count, projection_.matrix(0));
  held_ = count;
}

void Projection::project(const Tensor& gradient, Tensor& low) const {
  const auto g = as_matrix(gradient, rows_, cols_).matrix();
  const auto p = projection_.matrix(0).matrix();
  if (right())
    low.matrix(0).matrix().noalias() = g * p.transpose();
  else
    low.matrix(0).matrix().noalias() = p.transpose() * g;
}

void Projection::back(const Tensor& low, Tensor& full) const {
  const auto l = low.matrix(0).matrix();
  const auto p = projection_.matrix(0).matrix();
  auto out = as_matrix(full, rows_, cols_).matrix();
  if (right())
    out.noalias() = options_.alpha * (l * p);
  else
    out.noalias() = options_.alpha * (p * l);
}

}  // namespace plumbline::reference
