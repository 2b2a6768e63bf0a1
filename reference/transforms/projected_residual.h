// u = back(N_low) + limit((G - back(G_low)) (.) s): the projected update and what the projection leaves out, the latter
// scaled per channel and limited in growth.                [Chen et al. 2024, Fira, alg. 1]
#pragma once
#include "reference/transforms/limiter.h"
#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

class ProjectedResidual final : public Transform {
 public:
  explicit ProjectedResidual(LowRank low_rank, const LimiterOptions& limiter = {});
  void apply(Step& step) override;
  Tensor* state(Slot slot) override;
  const LowRank& low_rank() const { return low_rank_; }
  const Limiter& limiter() const { return limiter_; }

 private:
  LowRank low_rank_;
  Limiter limiter_;
  Tensor scale_, residual_, update_;
};

}  // namespace plumbline::reference
