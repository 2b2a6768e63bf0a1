// u = back(N_low): the low-rank update on its way back.    [Zhao et al. 2024, GaLore, alg. 2]
#pragma once
#include <utility>

#include "reference/transforms/low_rank.h"

namespace plumbline::reference {

class ProjectedUpdate final : public Transform {
 public:
  explicit ProjectedUpdate(LowRank low_rank) : low_rank_(std::move(low_rank)) {}
  void apply(Step& step) override {
    low_rank_.run(step);
    Tensor& update = step.record ? step.record->update : update_;
    shape_like(update, step.gradient->shape, step.gradient->size());
    low_rank_.projection().back(low_rank_.normalised(), update);
    step.set_update(update);
  }
  Tensor* state(Slot slot) override { return low_rank_.state(slot); }
  const LowRank& low_rank() const { return low_rank_; }

 private:
  LowRank low_rank_;
  Tensor update_;  // where no record takes it
};

}  // namespace plumbline::reference
