#include "harness/contracts/bounded_chain.h"

#include <utility>

namespace plumbline::harness {

BoundedChain::BoundedChain(const reference::Optimizer& optimizer, const PeerArithmetic::Options& arithmetic,
                           StoredTypes types)
    : arithmetic_(arithmetic), types_(std::move(types)) {
  for (const auto& transform : optimizer.chain()) chain_.push_back(make_bounded(*transform));
}

BoundedChain::Acted BoundedChain::step(int64_t t, BoundedVector& parameter, const reference::Tensor& gradient) {
  set_exact(gradient_, gradient.data);
  BoundedStep step{t, arithmetic_, types_, parameter, &gradient_, &gradient_};
  for (const auto& transform : chain_) {
    transform->apply(step);
    if (step.skipped) break;
  }
  return {step.clip_acted, step.limiter_acted, step.decay_acted};
}

BoundedVector* BoundedChain::state(reference::Slot slot) {
  for (const auto& transform : chain_)
    if (BoundedVector* found = transform->state(slot)) return found;
  return nullptr;
}

void set_exact(BoundedVector& out, const reference::Vector& values) {
  out.resize(size_t(values.size()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = {values[int64_t(i)], 0};
}

}  // namespace plumbline::harness
