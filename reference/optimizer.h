// The reference optimizer of one tensor: a chain of transforms, in double.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "reference/transform.h"

namespace plumbline::reference {

class Optimizer {
 public:
  Optimizer(Shape shape, std::vector<std::unique_ptr<Transform>> chain);
  Optimizer(Optimizer&&) noexcept = default;
  Optimizer& operator=(Optimizer&&) noexcept = default;

  // Step t = step_count() + 1, which advances the count unless the non-finite policy skips it. Fills `record` if there
  // is one; its memory is reused where shapes match. Throws std::invalid_argument when a shape is not the optimizer's.
  void step(Tensor& parameter, const Tensor& gradient, StepRecord* record = nullptr);

  // State to read or overwrite; null when no transform of the chain has it.
  Tensor* state(Slot slot);
  const Tensor* state(Slot slot) const { return const_cast<Optimizer*>(this)->state(slot); }

  int64_t step_count() const { return step_count_; }
  void set_step_count(int64_t t) { step_count_ = t; }
  const Shape& shape() const { return shape_; }
  // In the order of the computation, for who carries something along with it.
  std::span<const std::unique_ptr<Transform>> chain() const { return chain_; }

 private:
  Shape shape_;
  std::vector<std::unique_ptr<Transform>> chain_;
  int64_t step_count_ = 0;
};

// Collects a chain in the order of the computation.
class Chain {
 public:
  template <class T, class... Args>
  Chain& add(Args&&... args) {
    transforms_.push_back(std::make_unique<T>(std::forward<Args>(args)...));
    return *this;
  }
  std::vector<std::unique_ptr<Transform>> take() { return std::move(transforms_); }

 private:
  std::vector<std::unique_ptr<Transform>> transforms_;
};

}  // namespace plumbline::reference
