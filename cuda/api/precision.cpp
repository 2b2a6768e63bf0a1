#include <algorithm>

#include "cuda/api/optimizer_impl.h"

namespace plumbline {
namespace {

bool same_form(const SlotPlan& a, const SlotPlan& b) {
  return a.storage == b.storage && a.rounding == b.rounding && a.block == b.block;
}

// One tensor's state from one plan to another that differs in nothing but how slots are kept.
void carry_over(const PlannedEngine& from, const PlannedEngine& to, size_t index, Stream stream) {
  const TensorPlan &old = from.plan.tensors[index], &now = to.plan.tensors[index];
  core::TensorClock clock = from.clock(old, stream);
  const bool same = std::equal(std::begin(old.slot), std::end(old.slot), std::begin(now.slot), same_form);
  if (clock.writes == 0) return;  // as it was made
  for (int kind = 0; kind < kSlots; ++kind) {
    const SlotPlan &slot = old.slot[kind], &target = now.slot[kind];
    if (slot.count == 0) continue;
    // A reader takes dither out again by the count of writes, which is one for all slots of a tensor. The random part
    // of this write is new: with that of the last one, what it rounded up would be rounded up again.
    if (same || (same_form(slot, target) && slot.rounding != Rounding::dither)) {
      std::vector<std::byte> values;
      std::vector<float> scales;
      from.read_slot(old, slot, values, scales, stream);
      to.write_slot(target, values, scales, stream);
    } else {
      to.encode(now, target, clock.writes, from.decode(old, slot, clock.writes, stream), stream);
    }
  }
  if (!same) ++clock.writes;
  if (!same && core::is_mutant(core::Mutant::clock_lost_by_precision)) clock.t = 0;
  to.engine->write_state(size_t(now.clock), std::as_bytes(std::span(&clock, 1)), stream);
}

}  // namespace

void Optimizer::Impl::set_precision(const Precision& precision, Stream stream, int index) {
  const GroupOptions wanted = with_precision(group(index), precision);
  std::vector<GroupOptions> changed = groups_;
  changed[size_t(index)] = wanted;
  if (changed == groups_) return;
  auto next = std::make_unique<PlannedEngine>(specs_, changed, config_);
  // lr of every group and both multipliers: the start of the arena
  std::vector<std::byte> head(size_t(plan().given_multiplier) + sizeof(float));
  held_->engine->read(ArenaKind::state, 0, head, stream);
  // The new engine knows of no scale before: what the last one left goes here.
  std::copy_n(head.begin() + plan().given_multiplier, sizeof(float), head.begin() + plan().multiplier);
  if (core::is_mutant(core::Mutant::multiplier_lost_by_precision)) head.resize(size_t(plan().multiplier));
  next->engine->write_state(0, head, stream);
  for (size_t i = 0; i < specs_.size(); ++i) carry_over(*held_, *next, i, stream);
  next->engine->set_scale(scale_);
  held_ = std::move(next);
  groups_ = std::move(changed);
}

}  // namespace plumbline
