// A chain that takes every step for the first: its transforms see t = 1. State goes on where they do not begin it anew.
#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "reference/transform.h"

namespace plumbline::reference {

class FirstAgain final : public Transform {
 public:
  explicit FirstAgain(std::vector<std::unique_ptr<Transform>> chain) : chain_(std::move(chain)) {}
  void apply(Step& step) override {
    Step first(1, step.parameter, *step.gradient, step.record);
    for (const auto& transform : chain_) {
      transform->apply(first);
      if (first.skipped) break;
    }
    step.skipped = first.skipped;
  }
  Tensor* state(Slot slot) override {
    for (const auto& transform : chain_)
      if (Tensor* found = transform->state(slot)) return found;
    return nullptr;
  }
  std::span<const std::unique_ptr<Transform>> chain() const { return chain_; }

 private:
  std::vector<std::unique_ptr<Transform>> chain_;
};

}  // namespace plumbline::reference
