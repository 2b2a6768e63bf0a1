// u = s (.) G: the gradient, each channel (or the whole of it) scaled as low-rank statistics say.
//                                                            [Zhu et al. 2024, APOLLO, alg. 1]
#pragma once
#include <utility>

#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

class ProjectedScaling final : public Transform {
 public:
  ProjectedScaling(LowRank low_rank, ScaleType type) : low_rank_(std::move(low_rank)), type_(type) {}
  void apply(Step& step) override {
    low_rank_.run(step);
    low_rank_.scale_channels(type_, *step.gradient, update_);
    step.set_update(update_);
  }
  Tensor* state(Slot slot) override { return low_rank_.state(slot); }
  const LowRank& low_rank() const { return low_rank_; }
  ScaleType type() const { return type_; }

 private:
  LowRank low_rank_;
  ScaleType type_;
  Tensor update_;
};

}  // namespace plumbline::reference
