// What a step is given: pointers that the kernels may trust.
#pragma once
#include <span>
#include <vector>

#include "cuda/plan/engine.h"

namespace plumbline {

class PointerCheck {
 public:
  // Throws OptionError naming the tensor for a wrong count, and for pointers that are null, misaligned, overlapping or
  // not in the engine's memory. The pointers of the last good call pass at the cost of a comparison.
  void check(std::span<const TensorPointers> pointers, const Plan& plan, const Engine& engine);

 private:
  std::vector<TensorPointers> good_;
};

}  // namespace plumbline
