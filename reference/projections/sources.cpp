#include "reference/projections/sources.h"

#include <Eigen/SVD>
#include <array>
#include <bit>
#include <cmath>

#include "reference/projections/philox.h"

namespace plumbline::reference {

ProjectionSource popcount_projection(uint32_t seed, uint32_t stream) {
  return [seed, stream](const ConstMatrixMap& gradient, int64_t count, MatrixMap projection) {
    const bool right = gradient.rows() >= gradient.cols();
    const int64_t rank = right ? projection.rows() : projection.cols();
    const int64_t length = right ? projection.cols() : projection.rows();
    const double unit = 1 / std::sqrt(8.0 * static_cast<double>(rank));
    std::array<uint32_t, 4> words{};
    for (int64_t k = 0; k < rank; ++k)
      for (int64_t j = 0; j < length; ++j) {
        if (j % 4 == 0)
          words =
              philox4x32_10({static_cast<uint32_t>(j / 4), static_cast<uint32_t>(k), 0, static_cast<uint32_t>(count)},
                            {seed, stream});
        const double entry = (std::popcount(words[static_cast<size_t>(j % 4)]) - 16) * unit;
        (right ? projection(k, j) : projection(j, k)) = entry;
      }
  };
}

ProjectionSource singular_vectors() {
  return [](const ConstMatrixMap& gradient, int64_t, MatrixMap projection) {
    const bool right = gradient.rows() >= gradient.cols();
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(gradient.matrix(), Eigen::ComputeThinU | Eigen::ComputeThinV);
    if (right)
      projection = svd.matrixV().leftCols(projection.rows()).transpose().array();
    else
      projection = svd.matrixU().leftCols(projection.cols()).array();
  };
}

}  // namespace plumbline::reference
