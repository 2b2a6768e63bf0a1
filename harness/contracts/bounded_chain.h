// A dialect's chain in numbers that carry error bounds: what a peer's float arithmetic may make of one step after the
// other, from exact state or from state that was itself computed.
#pragma once
#include <memory>
#include <vector>

#include "harness/contracts/bounded_transforms.h"
#include "reference/optimizer.h"

namespace plumbline::harness {

class BoundedChain {
 public:
  // For the optimizer's chain. Throws std::logic_error where one of its transforms has no bound.
  BoundedChain(const reference::Optimizer& optimizer, const PeerArithmetic::Options& arithmetic, StoredTypes types);

  struct Acted {
    bool clip = false, limiter = false, decay = false;
  };
  // Step t from `parameter` and the chain's state; both are what a peer may hold afterwards.
  Acted step(int64_t t, BoundedVector& parameter, const reference::Tensor& gradient);

  const PeerArithmetic& arithmetic() const { return arithmetic_; }
  // In the order of the reference's own slot; null when the chain has none.
  BoundedVector* state(reference::Slot slot);

 private:
  PeerArithmetic arithmetic_;
  StoredTypes types_;
  std::vector<std::unique_ptr<BoundedTransform>> chain_;
  BoundedVector gradient_;
};

// Values without errors.
void set_exact(BoundedVector& out, const reference::Vector& values);

}  // namespace plumbline::harness
