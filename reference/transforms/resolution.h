// The second moment in use is never below what the codes of a stored numerator resolve, q one step of the block in
// which an element lies and b the bias correction:
//   V^ <- max(V, (b q)^2);  R_i <- max(R_i, mean_j (b q_ij)^2), C_j <- max(C_j, mean_i (b q_ij)^2), the normalizer as
//   it was
// For the stages that follow alone; the averages go on as they were. Nothing where the numerator is not stored in
// steps.
//                                                                                             (reference/CODECS.md)
#pragma once
#include <optional>

#include "reference/transform.h"
#include "reference/transforms/square_sums.h"

namespace plumbline::reference {

class Resolution final : public Transform {
 public:
  // b: as of a BiasCorrection with these, or 1.
  struct Options {
    std::optional<double> beta1{}, beta2{};
  };
  explicit Resolution(const Options& options) : options_(options) {}
  void apply(Step& step) override;

 private:
  void raise_factors(Step& step);

  Options options_;
  Tensor steps_;                    // b q
  std::optional<SquareSums> sums_;  // of them
  Tensor full_, row_, col_;         // in use
};

}  // namespace plumbline::reference
