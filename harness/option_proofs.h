// Did the options that a training sets show in what it left? Beside each step of the reference goes one more for every
// option not yet proved, from the same state, in which that option alone has its default: where that would have been
// outside the bounds, a program that ignores the option would have failed.
#pragma once
#include <string>
#include <vector>

#include "harness/contracts/bounded_chain.h"
#include "harness/peer.h"
#include "harness/result.h"

namespace plumbline::harness {

class OptionProofs {
 public:
  // Of the options that differ from the dialect's defaults. One without a default, or whose default the dialect does
  // not take beside the others, is compared with twice its value.
  OptionProofs(const StepsHead& head, Hyperparameters held);

  // Options in force from the next step on.
  void change(const std::string& options);
  // Before a step: every other reference starts from what `reference` holds, and from the same parameter.
  void start(const reference::Optimizer& reference, const reference::Tensor& parameter);
  // Takes step t and looks at parameter and shown state within their bounds.
  void step(int64_t t, const StepShown& shown, const std::vector<KnownSlot>& slots,
            const reference::Optimizer& reference, const reference::Tensor& parameter,
            const BoundedVector& parameter_bounds, BoundedChain& bounds, const StoredTypes& types);

  const std::vector<CaseResult::Proof>& proofs() const { return proofs_; }

 private:
  std::optional<reference::Optimizer> without(const std::string& options, const std::string& name) const;

  const StepsHead& head_;
  Hyperparameters held_;
  std::vector<std::string> names_;  // parallel to proofs_
  std::vector<CaseResult::Proof> proofs_;
  reference::Tensor before_;
  std::vector<std::optional<reference::Optimizer>> others_;  // empty where it is proved, or not set any more
};

}  // namespace plumbline::harness
