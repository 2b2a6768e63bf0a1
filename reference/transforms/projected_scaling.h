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
    Tensor& scale = step.record ? step.record->channel_scale : scale_;
    Tensor& update = step.record ? step.record->update : update_;
    low_rank_.channel_scale(type_, scale);
    low_rank_.scale_channels(scale, *step.gradient, update);
    step.set_update(update);
  }
  Tensor* state(Slot slot) override { return low_rank_.state(slot); }
  const LowRank& low_rank() const { return low_rank_; }
  ScaleType type() const { return type_; }

 private:
  LowRank low_rank_;
  ScaleType type_;
  Tensor scale_, update_;  // where no record takes them
};

}  // namespace plumbline::reference
