// Row and column sums of g^2, in one pass over the gradient for all who need them: the factored second moment, and the
// non-finite policy, for which a small sum proves that every element is small.
#pragma once
#include "reference/transform.h"

namespace plumbline::reference {

class SquareSums final : public Transform {
 public:
  SquareSums(const Shape& shape, FactorAxes axes) : SquareSums(matrices_over(shape, axes.row, axes.col)) {}
  explicit SquareSums(MatrixBatch batch);
  void apply(Step& step) override;

  // Sums of `gradient`, copied to `copy` on the way unless that is null.
  void compute(const Tensor& gradient, Tensor* copy);

  MatrixBatch batch;
  Vector row;                  // (slices x m): sum_j g_ij^2
  Vector col;                  // (slices x n): sum_i g_ij^2
  const Tensor* of = nullptr;  // whose sums these are
};

}  // namespace plumbline::reference
