// Low-rank projection of a matrix G (m x n), read as first axis x rest:
//   m >= n:  G_low = G P^T (m x r), P r x n;  back(L) = alpha L P
//   m <  n:  G_low = P^T G (r x n), P m x r;  back(L) = alpha P L
//                                                            [Zhao et al. 2024, GaLore, sec. 4; Zhu et al. 2024,
//                                                            APOLLO]
#pragma once
#include <functional>

#include "reference/transform.h"

namespace plumbline::reference {

// Makes P at a refresh, of the shape that `projection` has; `count` refreshes came before.
using ProjectionSource = std::function<void(const ConstMatrixMap& gradient, int64_t count, MatrixMap projection)>;

// On which side of G a projection is: where its rank saves more, or as the program says.
enum class ProjectionSide : uint8_t { by_shape, against_shape, right, left };

struct ProjectionOptions {
  int64_t rank = 1;
  int64_t refresh_every = 200;  // P is new at steps 1, 1 + refresh_every, ...
  double alpha = 1;             // scale of the way back
  ProjectionSource source;      // none: P is what was put into its slot
  ProjectionSide side = ProjectionSide::by_shape;
};

class Projection {
 public:
  Projection(const Shape& shape, ProjectionOptions options);

  void refresh(int64_t t, const Tensor& gradient);
  void project(const Tensor& gradient, Tensor& low) const;  // low has the low shape
  void back(const Tensor& low, Tensor& full) const;         // overwrites full

  bool right() const { return right_; }  // P on the right: channels are rows, else columns
  Shape low_shape() const;
  const ProjectionOptions& options() const { return options_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  Tensor& matrix() { return projection_; }
  const Tensor& matrix() const { return projection_; }

 private:
  ProjectionOptions options_;
  int64_t rows_, cols_;
  bool right_ = true;
  Tensor projection_;  // P
  int64_t held_ = -1;  // which refresh made it
};

}  // namespace plumbline::reference
