// The transforms of reference/transforms once more, in numbers that carry error bounds: each evaluates its equation as
// a peer may have, whatever its order.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "harness/contracts/bounded.h"
#include "reference/axes.h"
#include "reference/transform.h"

namespace plumbline::reference {
class LowRank;
}

namespace plumbline::harness {

// The types in which a peer keeps what outlives a step; a slot that is not listed, in the parameter's.
struct StoredTypes {
  DType parameter = DType::float32;
  std::map<reference::Slot, DType> slots;

  DType of(reference::Slot slot) const {
    const auto at = slots.find(slot);
    return at == slots.end() ? parameter : at->second;
  }
};

// V of the tensor's shape, or R_i C_j / normalizer over the batch.
struct BoundedMoment {
  BoundedVector* full = nullptr;
  const BoundedVector* row = nullptr;
  const BoundedVector* col = nullptr;
  const BoundedVector* normalizer = nullptr;
  double factor_floor = 0;
  const reference::MatrixBatch* batch = nullptr;
};

struct BoundedStep {
  int64_t t = 1;
  const PeerArithmetic& arithmetic;
  const StoredTypes& types;
  BoundedVector& parameter;
  const BoundedVector* gradient;  // as the statistics see it
  const BoundedVector* update;    // the update so far is scale * update
  Bounded scale{1};
  BoundedMoment moment{};
  Bounded rho{}, step_size{};
  Bounded rms_before_limiter{};
  bool skipped = false;  // ends the chain
  bool limiter_acted = false, clip_acted = false, decay_acted = false;

  Bounded element(size_t i) const { return arithmetic.values().product((*update)[i], scale); }
  void set_update(const BoundedVector& values) { update = &values; }
  // Sum of (scale * update)^2 without the scale's square.
  Bounded square_sum() const;
  Bounded update_rms() const;
};

class BoundedTransform {
 public:
  virtual ~BoundedTransform() = default;
  virtual void apply(BoundedStep& step) = 0;
  virtual BoundedVector* state(reference::Slot) { return nullptr; }
};

// The counterpart of a transform; null for one that changes no number. Throws std::logic_error for a transform that has
// none. `slots` renames the state of a chain within a chain.
using SlotNames = std::map<reference::Slot, reference::Slot>;
std::unique_ptr<BoundedTransform> make_bounded(const reference::Transform& transform, const SlotNames& slots = {});

// The parts of it, a file each; null for transforms that are not theirs.
std::unique_ptr<BoundedTransform> make_bounded_statistics(const reference::Transform& transform,
                                                          const SlotNames& slots);
std::unique_ptr<BoundedTransform> make_bounded_scaling(const reference::Transform& transform);
std::unique_ptr<BoundedTransform> make_bounded_low_rank(const reference::Transform& transform);

// l of the norm-growth limiter for a norm, and nu' for the next step.
Bounded bounded_limiter(const BoundedStep& step, double margin, double record_below, Bounded norm, Bounded& previous);

}  // namespace plumbline::harness
