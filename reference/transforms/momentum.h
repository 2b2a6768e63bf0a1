// M <- beta1 M + (1 - beta1) x, of the update so far: the gradient at the head of a chain, the update further down; M
// becomes the update                                          [Kingma & Ba 2015, alg. 1; Luo et al. 2023, alg. 2]
#pragma once
#include <functional>
#include <utility>

#include "reference/schedule.h"
#include "reference/transform.h"

namespace plumbline::reference {

// Where momentum is its stored value: replaces M by what its storage keeps of it, before anything reads M, and gives
// the step q of the even codes in which every element is kept; empty where there are none.
using MomentumStore = std::function<void(Tensor& momentum, Tensor& resolution)>;

struct MomentumOptions {
  AverageStart start{};
  AverageForm form = AverageForm::sum;
  double unit = 0;  // what a program loses that keeps M, and takes x, in a shorter type: half an ulp, relative
};

class Momentum final : public Transform {
 public:
  Momentum(const Shape& shape, double beta1, MomentumStore store = {}, const MomentumOptions& options = {})
      : beta1_(beta1), options_(options), momentum_(shape), store_(std::move(store)) {}
  void apply(Step& step) override;
  Tensor* state(Slot slot) override { return slot == Slot::momentum ? &momentum_ : nullptr; }
  double beta1() const { return beta1_; }
  const MomentumOptions& options() const { return options_; }
  const Tensor& momentum() const { return momentum_; }

 private:
  double beta1_;
  MomentumOptions options_;
  Tensor momentum_;    // M
  Tensor resolution_;  // q
  MomentumStore store_;
};

}  // namespace plumbline::reference
