// T down the columns of a row-major matrix, many columns side by side.
#pragma once
#include "cuda/core/average.h"
#include "cuda/twin/workers.h"

namespace plumbline::twin {

// sums[j] = T over i of x[i][j]; of x[i][j]^2 in double.
void column_trees(const double* x, int64_t rows, int64_t cols, Workers& workers, double* sums);
void column_square_trees(const float* x, int64_t rows, int64_t cols, Workers& workers, double* sums);
// sums[j] = T over i of x[i][j]
void column_trees(const float* x, int64_t rows, int64_t cols, Workers& workers, float* sums);
// C_j <- average of C_j and T over i of fl(x[i][j]^2), canonical
void average_columns(const float* x, int64_t rows, int64_t cols, const core::Weights<float>& weights, Workers& workers,
                     float* col);

}  // namespace plumbline::twin
